/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints the content of one record of a context file.
 *
 * Each payload is described once, as a list of values with names; people see "name value", programs see JSON.
 */
#include "libcr/tools/inspect_record.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "libcr/image/file_payload.h"
#include "libcr/image/ipc_payload.h"
#include "libcr/image/process_payload.h"
#include "libcr/image/cr_image_format.h"
#include "libcr/image/thread_payload.h"
#include "libcr/image/tree_payload.h"
#include "libcr/tools/json.h"

struct inspect_out {
	bool json;
	const char *between; /* before the next value, for people */
};

/* Names may contain anything. */
static void plain_string(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			printf("\\%03o", c);
		else
			putchar(c);
	}
}

/* --- one value; @label NULL: people see the value alone --- */

static void out_begin(struct inspect_out *out, const char *key, const char *label)
{
	if (out->json)
		printf(", \"%s\": ", key);
	else
		printf("%s%s%s", out->between, label ? label : "", label ? " " : "");
	out->between = " ";
}

static void out_text(struct inspect_out *out, const char *key, const char *label, const char *text, size_t bytes)
{
	out_begin(out, key, label);
	if (out->json)
		cr_json_string(stdout, text, bytes);
	else
		plain_string(text, bytes);
}

/* A text in a field of fixed size. */
static void out_field(struct inspect_out *out, const char *key, const char *label, const char *text, size_t max)
{
	out_text(out, key, label, text, strnlen(text, max));
}

static void out_number(struct inspect_out *out, const char *key, const char *label, int64_t number)
{
	out_begin(out, key, label);
	printf("%" PRId64, number);
}

__attribute__((format(printf, 4, 5))) static void out_format(struct inspect_out *out, const char *key, const char *label, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	out_field(out, key, label, text, sizeof(text));
}

/* --- VMA --- */

bool inspect_get_vma(const struct cr_image_record *rec, struct cr_vma *ret, const char **ret_name, size_t *ret_name_bytes)
{
	if (rec->bytes < sizeof(*ret))
		return false;
	memcpy(ret, rec->data, sizeof(*ret));
	*ret_name = (const char *)rec->data + sizeof(*ret);
	*ret_name_bytes = strnlen(*ret_name, rec->bytes - sizeof(*ret));
	return true;
}

static const char *vma_kind_name(uint32_t kind)
{
	switch (kind) {
	case CR_VMA_ANON:
		return "anon";
	case CR_VMA_FILE_PRIVATE:
		return "file-private";
	case CR_VMA_FILE_SHARED:
		return "file-shared";
	case CR_VMA_ANON_SHARED:
		return "anon-shared";
	}
	return "unknown";
}

static void out_vma_flags(struct inspect_out *out, uint64_t flags)
{
	const char *between = "";

	if (!out->json && !flags)
		return;
	out_begin(out, "flags", NULL);
	if (out->json)
		putchar('[');
#define CR_VMA_FLAG(bit, name, letters)                                                           \
	if (flags & CR_VMA_F_##name) {                                                            \
		printf(out->json ? "%s\"%s\"" : "%s%s", between, #name);                          \
		between = out->json ? ", " : ",";                                                 \
	}
	CR_VMA_FLAGS(CR_VMA_FLAG)
#undef CR_VMA_FLAG
	if (out->json)
		putchar(']');
}

static bool out_vma(struct inspect_out *out, const struct cr_image_record *rec, uint64_t stored)
{
	size_t name_bytes;
	struct cr_vma vma;
	const char *name;

	if (!inspect_get_vma(rec, &vma, &name, &name_bytes))
		return false;
	if (out->json) {
		out_format(out, "start", NULL, "0x%" PRIx64, vma.start);
		out_format(out, "end", NULL, "0x%" PRIx64, vma.end);
	} else {
		out_format(out, "range", NULL, "0x%" PRIx64 "-0x%" PRIx64, vma.start, vma.end);
	}
	out_format(out, "prot", NULL, "%c%c%c", vma.prot & PROT_READ ? 'r' : '-', vma.prot & PROT_WRITE ? 'w' : '-',
		   vma.prot & PROT_EXEC ? 'x' : '-');
	if (out->json) {
		out_format(out, "kind", NULL, "%s", vma_kind_name(vma.kind));
		out_number(out, "stored_bytes", NULL, (int64_t)stored);
	} else {
		out_format(out, "kind", NULL, "%-12s %" PRIu64 " KiB, %" PRIu64 " KiB stored", vma_kind_name(vma.kind), (vma.end - vma.start) / 1024,
			   stored / 1024);
	}
	out_vma_flags(out, vma.flags);
	if (name_bytes)
		out_text(out, "name", NULL, name, name_bytes);
	if (vma.kind != CR_VMA_FILE_PRIVATE && vma.kind != CR_VMA_FILE_SHARED)
		return true;
	if (!out->json) {
		out_format(out, "offset", NULL, "+0x%" PRIx64, vma.offset);
		return true;
	}
	out_number(out, "mapping_offset", NULL, (int64_t)vma.offset);
	out_number(out, "size", NULL, (int64_t)vma.file_bytes);
	out_format(out, "mtime", NULL, "%" PRId64 ".%09u", vma.mtime_s, vma.mtime_ns);
	return true;
}

/* --- the others: false when the payload is too short --- */

#define GET(rec, p) ((rec)->bytes >= sizeof(p) && memcpy(&(p), (rec)->data, sizeof(p)))

static bool out_host(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_host_payload p = { .kernel_pid = 0 };
	char when[32] = "";
	struct tm tm;
	time_t t;

	if (rec->bytes < offsetof(struct cr_host_payload, engine))
		return false;
	memcpy(&p, rec->data, rec->bytes < sizeof(p) ? rec->bytes : sizeof(p));
	t = (time_t)p.time_s;
	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	out_field(out, "host", NULL, p.host, sizeof(p.host));
	out_field(out, "time", NULL, when, sizeof(when));
	out_number(out, "pid", "pid", p.kernel_pid);
	out_number(out, "uid", "uid", p.uid);
	out_field(out, "kernel", "Linux", p.kernel, sizeof(p.kernel));
	out_field(out, "version", "ompi-cr", p.version, sizeof(p.version));
	if (p.engine[0])
		out_field(out, "engine", "engine", p.engine, sizeof(p.engine));
	return true;
}

static bool out_layout(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_layout_payload p;

	if (!GET(rec, p))
		return false;
	out_field(out, "exe", NULL, p.exe, sizeof(p.exe));
	out_number(out, "program_pid", "pid", p.program_pid);
	out_number(out, "threads", "threads", p.threads);
	out_number(out, "epoch", "epoch", (int64_t)p.epoch);
	out_number(out, "fd_floor", "descriptors below", p.fd_floor);
	return true;
}

static bool out_group(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_group_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "pgid", "group", p.pgid);
	out_number(out, "sid", "session", p.sid);
	return true;
}

static bool out_cpu(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_cpu_payload p;

	if (!GET(rec, p))
		return false;
	out_field(out, "vendor", NULL, p.vendor, sizeof(p.vendor));
	out_format(out, "xcr0", "xcr0", "0x%" PRIx64, p.xcr0);
	return true;
}

static bool out_process(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_process_payload p;

	if (!GET(rec, p))
		return false;
	out_field(out, "cwd", "cwd", (const char *)rec->data + sizeof(p), rec->bytes - sizeof(p));
	out_format(out, "umask", "umask", "%03o", p.umask);
	return true;
}

static bool out_thread(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_thread_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "tid", "tid", p.tid);
	out_field(out, "name", NULL, p.name, sizeof(p.name));
	out_format(out, "frame", "frame", "0x%" PRIx64, p.uc);
	out_format(out, "fs", "fs", "0x%" PRIx64, p.fs);
	return true;
}

static bool out_sigaction(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_sigaction_payload p;
	int handled = 0, ignored = 0;

	if (!GET(rec, p))
		return false;
	for (unsigned int i = 1; i < sizeof(p.kind); i++) {
		handled += p.kind[i] == 2;
		ignored += p.kind[i] == 1;
	}
	out_number(out, "handled", "handled", handled);
	out_number(out, "ignored", "ignored", ignored);
	return true;
}

static bool out_sigpending(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_sigpending_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "signal", "signal", p.signo);
	out_number(out, "tid", "tid", p.tid);
	return true;
}

static bool out_timer(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_timer_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "id", "id", p.id);
	out_number(out, "clock", "clock", p.clock);
	out_number(out, "signal", "signal", p.signo);
	out_number(out, "value_ns", "ns left", (int64_t)p.value_ns);
	return true;
}

static void out_ipc_head(struct inspect_out *out, const struct cr_ipc_head *h)
{
	out_number(out, "id", NULL, h->id);
	out_format(out, "key", "key", "%#x", (unsigned int)h->key);
	out_format(out, "mode", "mode", "0%o", h->mode);
	out_number(out, "uid", "user", h->uid);
	out_number(out, "gid", "group", h->gid);
}

static bool out_ipc_queue(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_ipc_queue_payload p;

	if (!GET(rec, p))
		return false;
	out_ipc_head(out, &p.head);
	out_number(out, "messages", "messages", p.n_messages);
	out_number(out, "qbytes", "of at most bytes", (int64_t)p.qbytes);
	return true;
}

static bool out_ipc_semaphores(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_ipc_semaphores_payload p;

	if (!GET(rec, p))
		return false;
	out_ipc_head(out, &p.head);
	out_number(out, "semaphores", "semaphores", p.n);
	return true;
}

static bool out_ipc_process(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_ipc_process_item item;
	int64_t undone = 0;

	for (uint64_t at = 0; at + sizeof(item) <= rec->bytes; at += sizeof(item)) {
		memcpy(&item, (const char *)rec->data + at, sizeof(item));
		undone += item.undo != 0;
	}
	out_number(out, "semaphores", "semaphores", (int64_t)(rec->bytes / sizeof(item)));
	out_number(out, "undo", "with SEM_UNDO", undone);
	return rec->bytes % sizeof(item) == 0;
}

static bool out_shm_file(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_shm_file_payload p;

	if (!GET(rec, p) || p.path_bytes != rec->bytes - sizeof(p))
		return false;
	out_format(out, "mode", "mode", "0%o", p.mode);
	out_number(out, "size", "size", (int64_t)p.size);
	out_field(out, "path", NULL, (const char *)rec->data + sizeof(p), p.path_bytes);
	return true;
}

static bool out_shm_data(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_shm_data_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "offset", "offset", (int64_t)p.offset);
	out_number(out, "content_bytes", "bytes", (int64_t)p.bytes);
	return true;
}

static bool out_file(struct inspect_out *out, const struct cr_image_record *rec)
{
	static const char *const kinds[] = { "unknown", "regular", "unlinked", "directory", "pipe", "fifo", "stream", "tty", "device", "path", "eventfd",
					     "timerfd", "signalfd", "epoll", "inotify", "pidfd", "socket", "memfd", "shared", "mqueue" };
	struct cr_file_payload p;
	uint64_t fds_bytes;
	const char *at;

	if (!GET(rec, p))
		return false;
	fds_bytes = (uint64_t)p.n_fds * sizeof(struct cr_file_fd);
	if (fds_bytes > rec->bytes - sizeof(p))
		return false;
	at = (const char *)rec->data + sizeof(p);
	out_begin(out, "fds", "fd");
	printf(out->json ? "[" : "");
	for (uint32_t i = 0; i < p.n_fds; i++) {
		struct cr_file_fd fd;

		memcpy(&fd, at + i * sizeof(fd), sizeof(fd));
		printf("%s%d", i ? "," : "", fd.fd);
	}
	printf(out->json ? "]" : "");
	out_format(out, "kind", NULL, "%s", p.kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[p.kind] : kinds[0]);
	out_format(out, "open_flags", "flags", "0%o", p.open_flags);
	out_number(out, "pos", "pos", p.pos);
	out_number(out, "size", "size", (int64_t)p.size);
	if (rec->bytes - sizeof(p) > fds_bytes)
		out_field(out, "path", NULL, at + fds_bytes, rec->bytes - sizeof(p) - fds_bytes);
	return true;
}

static bool out_file_data(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_file_data_payload p;

	if (!GET(rec, p))
		return false;
	out_number(out, "object", "object", p.object);
	out_number(out, "data_offset", "at", (int64_t)p.offset);
	out_number(out, "data_bytes", "bytes", (int64_t)p.bytes);
	return true;
}

static bool out_part(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_image_part p;

	if (!GET(rec, p))
		return false;
	out_number(out, "number", "part", p.number);
	out_number(out, "part_bytes", "bytes", (int64_t)p.file_bytes);
	return true;
}

/* JSON: the numbers; for people every process in words too. */
static bool out_tree(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_tree_payload head;
	struct cr_tree_process p;

	if (!GET(rec, head) || rec->bytes < sizeof(head) + (uint64_t)head.n_processes * sizeof(p))
		return false;
	out_number(out, "processes", "processes", head.n_processes);
	out_number(out, "shared", "shared descriptions", head.n_shared);
	for (uint32_t i = 0; i < head.n_processes && !out->json; i++) {
		memcpy(&p, (const char *)rec->data + sizeof(head) + i * sizeof(p), sizeof(p));
		printf("\n%40s pid %d parent %d group %d session %d %.16s", "", p.pid, p.ppid, p.pgid, p.sid, p.name);
		if (p.state == CR_TREE_ENDED)
			printf(", ended with status %#x", (unsigned int)p.status);
		else
			printf(", part %u", p.part);
	}
	return true;
}

static bool out_board(struct inspect_out *out, const struct cr_image_record *rec)
{
	struct cr_board_payload p;

	if (!GET(rec, p))
		return false;
	if (!p.present) {
		out_format(out, "mpi", NULL, "no MPI");
		return true;
	}
	out_number(out, "rank", "rank", p.rank);
	out_number(out, "size", "of", p.size);
	out_number(out, "messages", "messages in flight", (int64_t)p.messages);
	out_number(out, "message_bytes", "bytes", (int64_t)p.bytes);
	out_number(out, "exchanged", "exchanged", p.exchanged);
	return true;
}

static bool out_pages(struct inspect_out *out, const struct cr_image_record *rec)
{
	out_format(out, "addr", NULL, "0x%" PRIx64, rec->addr);
	if (!out->json) {
		out_number(out, "pages", "pages", (int64_t)(rec->bytes / 4096));
		out_format(out, "checksum", "checksum", "%016" PRIx64, rec->checksum);
	}
	return true;
}

static const char *type_text(uint32_t type)
{
	switch (type) {
#define CR_RECORD(number, name, text) \
	case number:                  \
		return text;
#include "libcr/image/record_types.def"
#undef CR_RECORD
	}
	return "not known to this program";
}

void inspect_record(const struct cr_image_record *rec, uint64_t stored, bool json)
{
	struct inspect_out out = { .json = json, .between = "" };
	bool good = true, known = true;

	switch (rec->type) {
	case CR_REC_VMA:
		good = out_vma(&out, rec, stored);
		break;
#define RECORD(type, function)               \
	case type:                           \
		good = function(&out, rec);  \
		break;
	RECORD(CR_REC_PAGES, out_pages)
	RECORD(CR_REC_HOST, out_host)
	RECORD(CR_REC_LAYOUT, out_layout)
	RECORD(CR_REC_GROUP, out_group)
	RECORD(CR_REC_CPU, out_cpu)
	RECORD(CR_REC_PROCESS, out_process)
	RECORD(CR_REC_THREAD, out_thread)
	RECORD(CR_REC_SIGACTION, out_sigaction)
	RECORD(CR_REC_SIGPENDING, out_sigpending)
	RECORD(CR_REC_TIMER, out_timer)
	RECORD(CR_REC_FILE, out_file)
	RECORD(CR_REC_FILE_DATA, out_file_data)
	RECORD(CR_REC_BOARD, out_board)
	RECORD(CR_REC_PART, out_part)
	RECORD(CR_REC_IPC_QUEUE, out_ipc_queue)
	RECORD(CR_REC_IPC_SEMAPHORES, out_ipc_semaphores)
	RECORD(CR_REC_IPC_PROCESS, out_ipc_process)
	RECORD(CR_REC_SHM_FILE, out_shm_file)
	RECORD(CR_REC_SHM_DATA, out_shm_data)
	RECORD(CR_REC_TREE, out_tree)
#undef RECORD
	default:
		known = false;
	}
	if (!good)
		out_format(&out, "error", NULL, "too short for its type");
	else if (!known && !json)
		fputs(type_text(rec->type), stdout);
}
