# SPDX-License-Identifier: GPL-2.0-or-later
# abi_gen.awk - make C text for the program's libmpi from mpi_calls.def and from the symbols of the installed one.
#   awk -f abi_gen.awk -v what=calls mpi_calls.def                  wrappers of the plain classes
#   awk -f abi_gen.awk -v what=entries mpi_calls.def                the weak MPI_ entries, see upper/abi/entry.c
#   awk -f abi_gen.awk -v what=predefined REAL.nm                   PREDEFINED(kind, symbol, bytes, is it a null handle) and POINTER(symbol, target)
#   awk -f abi_gen.awk -v what=stubs OURS.nm REAL.nm                what the real library exports and we do not define
# The .nm files are the output of nm -D -S --defined-only (REAL) and of nm -P (OURS: names of defined symbols in the first column).

function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }

# Split "(const void *buf, int n, MPI_Comm comm)" into type[] and name[].
function parse_args(text,    i, a, m) {
	text = trim(text)
	text = substr(text, 2, length(text) - 2)
	nargs = 0
	if (text == "void")
		return
	m = split(text, a, /,/)
	for (i = 1; i <= m; i++) {
		a[i] = trim(a[i])
		match(a[i], /[A-Za-z_0-9]+(\[[0-9]*\])*$/)
		name[i] = substr(a[i], RSTART)
		type[i] = trim(substr(a[i], 1, RSTART - 1))
		if (name[i] ~ /\[/) {
			sub(/\[.*/, "", name[i])
			type[i] = type[i] " []"
		}
	}
	nargs = m
}

function real_of(i) {
	if (type[i] == "MPI_Info")
		return "crcp_info_real(" name[i] ")"
	if (type[i] == "MPI_Op")
		return "crcp_op_real(" name[i] ")"
	if (type[i] == "MPI_File")
		return "crcp_file_real(" name[i] ")"
	if (type[i] ~ /^MPI_T_/)
		return "(" type[i] ")crcp_tool_real((void *)" name[i] ")"
	return "CRCP_REAL(" type[i] ", " name[i] ")"
}

function is_handle(t) {
	return t ~ /^MPI_(Comm|Datatype|Op|Group|Info|Win|File|Errhandler|T_cvar_handle|T_pvar_session|T_pvar_handle|T_enum)$/
}

# A persistent collective: its arguments in a record, a function that makes it from the record, and the call.
function persistent(ret, fn, args,    i, list, types, op, t) {
	parse_args(args)
	printf "struct %s_args {\n\tstruct crcp_pcoll p;\n", fn
	for (i = 1; i <= nargs; i++) {
		t = type[i]
		if (sub(/ \[\]$/, "", t))
			t = t " *"
		if (type[i] !~ /^MPI_(Request \*|Info|Comm)$/)
			printf "\t%s%s%s;\n", t, t ~ /\*$/ ? "" : " ", name[i]
		type[i] = t
	}
	printf "};\n\nstatic int %s_make(const struct crcp_pcoll *p, MPI_Info r_info, MPI_Request *ret_real)\n{\n", fn
	printf "\tconst struct %s_args *a = (const struct %s_args *)(const void *)p;\n\tMPI_Comm r_comm = CRCP_REAL(MPI_Comm, p->comm);\n", fn, fn
	for (i = 1; i <= nargs; i++) {
		list = list (i > 1 ? ", " : "") (type[i] == "MPI_Request *" ? "&real" : is_handle(type[i]) ? "r_" name[i] : name[i])
		if (type[i] == "MPI_Datatype")
			printf "\tMPI_Datatype r_%s = CRCP_REAL(MPI_Datatype, a->%s);\n", name[i], name[i]
		else if (type[i] == "MPI_Op")
			printf "\tMPI_Op r_%s = crcp_op_real(a->%s);\n", name[i], name[i]
		else if (type[i] !~ /^MPI_(Request \*|Info|Comm)$/)
			printf "\t%s%s%s = a->%s;\n", type[i], type[i] ~ /\*$/ ? "" : " ", name[i], name[i]
	}
	printf "\tMPI_Request real = NULL;\n\tint r;\n\n\t(void)a;\n\tr = CR_LOWER(crcp_lower.%s(%s));\n\t*ret_real = real;\n\treturn r;\n}\n\n", fn, list
	printf "CRCP_API(%s, %s, %s)\n{\n\tstruct %s_args a = { .p = { .make = %s_make, .bytes = sizeof(a), .comm = comm", ret, fn, args, fn, fn
	for (i = 1; i <= nargs; i++) {
		if (type[i] == "MPI_Datatype")
			types = types (types == "" ? "" : ", ") name[i]
		if (type[i] == "MPI_Op")
			op = name[i]
	}
	printf "%s%s }", types == "" ? "" : ", .types = { " types " }", op == "" ? "" : ", .op = " op
	for (i = 1; i <= nargs; i++)
		if (type[i] !~ /^MPI_(Request \*|Info|Comm)$/)
			printf ", .%s = %s", name[i], name[i]
	printf " };\n\n\treturn crcp_pcoll_init(&a.p, info, request, \"%s\");\n}\n\n", fn
}

# Several threads: a file operation with a request is done at once (objects.h, crcp_file_at_once)
function file_at_once(fn, list, request,    blocking) {
	blocking = fn
	sub(/_i/, "_", blocking)
	sub(/_all$/, "", blocking)
	sub(/&r_[a-z]*$/, "status", list)
	printf "\tif (crcp_file_at_once()) {\n\t\tMPI_Status done = { 0 };\n\t\tMPI_Status *status = &done;\n\n"
	printf "\t\tr = CR_LOWER(crcp_lower.%s(%s));\n", blocking, list
	printf "\t\tif (r == MPI_SUCCESS)\n\t\t\t*%s = crcp_request_done('f', status);\n\t\tgoto end;\n\t}\n", request
}

function wrapper(class, ret, fn, args,    i, list, comm, win, file, request, kind) {
	parse_args(args)
	list = ""
	for (i = 1; i <= nargs; i++) {
		if (type[i] == "MPI_Comm" && comm == "")
			comm = name[i]
		if (type[i] == "MPI_Win")
			win = name[i]
		if (type[i] == "MPI_File")
			file = name[i]
		if (type[i] == "MPI_Request *")
			request = name[i]
		list = list (i > 1 ? ", " : "") (is_handle(type[i]) ? "r_" name[i] : type[i] == "MPI_Request *" ? "&r_" name[i] : name[i])
	}
	if (class ~ /WIN$/) # the layer's windows are tried first, by hand (win.h)
		printf "%s crcp_native_%s %s\n{\n", ret, fn, args
	else
		printf "CRCP_API(%s, %s, %s)\n{\n", ret, fn, args
	for (i = 1; i <= nargs; i++)
		if (is_handle(type[i]))
			printf "\t%s r_%s;\n", type[i], name[i]
	if (request != "")
		printf "\tMPI_Request r_%s = NULL;\n", request
	printf "\t%s r;\n\n\tcrcp_call_begin();\n", ret
	if (class ~ /COLL$/)
		printf "\tcrcp_enter_collective(%s);\n", comm
	if (class ~ /^I?CFILE$/)
		printf "\tcrcp_file_collective(%s);\n", file
	if (file != "" && fn ~ /_(shared|ordered)$/)
		printf "\tcrcp_file_uses_shared(%s);\n", file
	for (i = 1; i <= nargs; i++)
		if (is_handle(type[i]))
			printf "\tr_%s = %s;\n", name[i], real_of(i)
	if (class ~ /^IC?FILE$/)
		file_at_once(fn, list, request)
	printf "\tr = CR_LOWER(crcp_lower.%s(%s));\n", fn, list
	if (request != "") {
		kind = class == "ICOLL" ? "c" : class == "IWIN" ? "w" : "f"
		printf "\tif (r == MPI_SUCCESS)\n"
		printf "\t\t*%s = crcp_request_wrap(r_%s, '%s', %s);\n", request, request, kind, comm == "" ? "NULL" : "crcp_comm(" comm ")"
	}
	if (class == "COLL")
		printf "\tif (crcp_is_live(%s))\n\t\tcrcp_collective_leave(crcp_comm(%s));\n", comm, comm
	if (class ~ /^IC?FILE$/)
		printf "end:\n"
	printf "\tcrcp_call_end();\n"
	if (ret != "int" || class == "TOOL")
		printf "\treturn r;\n"
	else if (file != "")
		printf "\treturn r == MPI_SUCCESS ? r : crcp_file_error((struct crcp_file *)(void *)%s, r, \"%s\");\n", file, fn
	else if (win != "")
		printf "\treturn r == MPI_SUCCESS ? r : crcp_win_error((struct crcp_win *)(void *)%s, r, \"%s\");\n", win, fn
	else
		printf "\treturn r == MPI_SUCCESS ? r : crcp_error(%s, r, \"%s\");\n", comm == "" ? "NULL" : "crcp_is_live(" comm ") ? crcp_comm(" comm ") : NULL", fn
	printf "}\n\n"
}

function kind_of(sym, bytes) {
	if (sym ~ /^ompi_mpi_comm_(null|self|world)$/)
		return "COMM"
	if (sym ~ /^ompi_mpi_group_(null|empty)$/)
		return "GROUP"
	if (sym ~ /^ompi_mpi_info_(null|env)$/)
		return "INFO"
	if (sym ~ /^ompi_mpi_op_[a-z_]*$/ && bytes == 2048)
		return "OP"
	if (sym ~ /^ompi_mpi_(errhandler_null|errors_are_fatal|errors_return|errors_throw_exceptions)$/)
		return "ERRHANDLER"
	if (sym == "ompi_mpi_file_null")
		return "FILE"
	if (sym == "ompi_mpi_win_null")
		return "WIN"
	if (sym == "ompi_request_null")
		return "REQUEST"
	if (sym ~ /^ompi_message_(null|no_proc)$/)
		return "MESSAGE"
	if (sym ~ /^ompi_mpi_[a-z0-9_]*$/ && bytes == 512)
		return "DATATYPE"
	return ""
}

function hex(s,    i, v) {
	v = 0
	for (i = 1; i <= length(s); i++)
		v = v * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1
	return v
}

BEGIN {
	if (what == "calls") {
		print "/* Made from mpi_calls.def by abi_gen.awk. */"
		print "#include \"crcp/upper/abi/plain.h\"\n"
	} else if (what == "entries") {
		print "/* Made from mpi_calls.def by abi_gen.awk: entry i jumps to crcp_entries[i], which at first leads to crcp_entry_lazy. */"
		print "\t.text"
	} else if (what == "stubs") {
		print "/* Made from the symbols of the installed libmpi by abi_gen.awk: what nobody but the library's own plugins uses. */"
		print "#include <stddef.h>\n"
		print "__attribute__((noreturn)) void crcp_internal_call(const char *symbol);"
	}
}

what == "calls" && /^CRCP_CALL\((LOCAL|COLL|ICOLL|PCOLL|FILE|CFILE|IFILE|ICFILE|WIN|IWIN|TOOL),/ {
	line = $0
	sub(/^CRCP_CALL\(/, "", line)
	sub(/\)$/, "", line)
	c = index(line, ", ")
	class = substr(line, 1, c - 1)
	line = substr(line, c + 2)
	c = index(line, ", ")
	ret = substr(line, 1, c - 1)
	line = substr(line, c + 2)
	c = index(line, ", ")
	if (class == "PCOLL")
		persistent(ret, substr(line, 1, c - 1), substr(line, c + 2))
	else
		wrapper(class, ret, substr(line, 1, c - 1), substr(line, c + 2))
}

what == "entries" && /^CRCP_CALL/ {
	split($0, field, ", ")
	printf "\t.globl\t%s\n\t.weak\t%s\n\t.type\t%s, @function\n\t.p2align 4\n%s:\n", field[3], field[3], field[3], field[3]
	printf "\tjmp\t*crcp_entries+%d(%%rip)\n\t.size\t%s, . - %s\n", 8 * entries, field[3], field[3]
	printf ".Llazy%d:\n\tpushq\t$%d\n\tjmp\tcrcp_entry_lazy\n", entries, entries
	entries++
}

what == "predefined" && $3 ~ /^[DB]$/ {
	bytes = hex($2)
	k = kind_of($4, bytes)
	if (k != "")
		printf "PREDEFINED(%s, %s, %d, %d)\n", k, $4, bytes, $4 ~ /_null$/
	else if ($4 ~ /_addr$/)
		pointer[$4] = 1
	if (k != "")
		known[$4] = 1
}

what == "stubs" && FNR == NR { have[$1] = 1; next }
what == "stubs" && NF == 4 && !($4 in have) {
	if ($3 ~ /^[TW]$/)
		printf "__attribute__((visibility(\"default\")%s)) void %s(void);\n__attribute__((visibility(\"default\"))) void %s(void) { crcp_internal_call(\"%s\"); }\n", $3 == "W" ? ", weak" : "", $4, $4, $4
	else if ($3 == "R")
		printf "__attribute__((visibility(\"default\"))) extern const char %s[%d];\n__attribute__((visibility(\"default\"))) const char %s[%d] = \"\";\n", $4, hex($2), $4, hex($2)
	else
		printf "__attribute__((visibility(\"default\"), aligned(32))) extern char %s[%d];\n__attribute__((visibility(\"default\"), aligned(32))) char %s[%d];\n", $4, hex($2), $4, hex($2)
}

END {
	if (what == "entries") {
		print "\t.data\n\t.globl\tcrcp_entries\n\t.hidden\tcrcp_entries\n\t.p2align 6\ncrcp_entries:"
		for (i = 0; i < entries; i++)
			printf "\t.quad\t.Llazy%d\n", i
		print "\t.section .note.GNU-stack,\"\",@progbits"
	}
	if (what == "predefined")
		for (p in pointer) {
			target = p
			sub(/_addr$/, "", target)
			if (target in known)
				printf "POINTER(%s, %s)\n", p, target
		}
}
