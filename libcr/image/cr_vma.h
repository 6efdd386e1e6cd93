/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payload of a VMA record: one memory area of the program. docs/context-file-format.md, section 4.
 */
#ifndef CR_VMA_H
#define CR_VMA_H

#include <stdint.h>

enum cr_vma_kind {
	CR_VMA_ANON = 1,     /* private anonymous memory */
	CR_VMA_FILE_PRIVATE, /* private mapping of a file: only pages that were written to are stored */
	CR_VMA_FILE_SHARED,  /* shared mapping of a file: no content is stored */
	CR_VMA_ANON_SHARED,  /* shared anonymous memory; areas with the same ino are the same memory */
};

/*
 * OBJECT     ANON_SHARED: the memory of a memfd (the name says so) or of a file without a name, as large as file_bytes
 * OBJECT_FD  likewise, and a FILE record with the same inode number has the content
 * SYSV       ANON_SHARED: a System V segment: ino its number, file_bytes its size, mtime_s its key, mtime_ns its mode with SHM_DEST
 * HUGETLB    ANON and ANON_SHARED: of huge TLB pages of file_bytes bytes each
 */

/* CR_VMA_FLAG(bit, NAME, the two letters in VmFlags of /proc/PID/smaps or "") */
#define CR_VMA_FLAGS(CR_VMA_FLAG)         \
	CR_VMA_FLAG(0, GROWSDOWN, "gd")   \
	CR_VMA_FLAG(1, NORESERVE, "nr")   \
	CR_VMA_FLAG(2, LOCKED, "lo")      \
	CR_VMA_FLAG(3, LOCKONFAULT, "lf") \
	CR_VMA_FLAG(4, HUGEPAGE, "hg")    \
	CR_VMA_FLAG(5, NOHUGEPAGE, "nh")  \
	CR_VMA_FLAG(6, DONTDUMP, "dd")    \
	CR_VMA_FLAG(7, DONTFORK, "dc")    \
	CR_VMA_FLAG(8, WIPEONFORK, "wf")  \
	CR_VMA_FLAG(9, MERGEABLE, "mg")   \
	CR_VMA_FLAG(10, RANDOM, "rr")     \
	CR_VMA_FLAG(11, SEQUENTIAL, "sr") \
	CR_VMA_FLAG(12, SEALED, "sl")     \
	CR_VMA_FLAG(13, WAS_FILE, "")     \
	CR_VMA_FLAG(14, NAMED, "")        \
	CR_VMA_FLAG(15, MAYWRITE, "mw")   \
	CR_VMA_FLAG(16, OBJECT, "")       \
	CR_VMA_FLAG(17, OBJECT_FD, "")    \
	CR_VMA_FLAG(18, SYSV, "")         \
	CR_VMA_FLAG(19, HUGETLB, "")

enum cr_vma_flag {
#define CR_VMA_FLAG(bit, name, letters) CR_VMA_F_##name = 1 << (bit),
	CR_VMA_FLAGS(CR_VMA_FLAG)
#undef CR_VMA_FLAG
	CR_VMA_F_ALL = (1 << 20) - 1
};

struct cr_vma {
	uint64_t start;
	uint64_t end;
	uint32_t prot;
	uint32_t kind;
	uint64_t flags;
	uint64_t offset;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t ino;
	uint64_t file_bytes;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t name_bytes;
	uint64_t content_sum; /* FILE_PRIVATE: checksum of the whole file; 0: not taken */
	int64_t ctime_ns;     /* FILE_PRIVATE: time of change of the file; 0: too young to tell anything */
	/* name_bytes of name follow */
};

/* A GUARD record is an array of these: pages of one area that nobody may touch (MADV_GUARD_INSTALL). */
struct cr_guard_range {
	uint64_t start, end;
};

_Static_assert(sizeof(struct cr_vma) == 96 && sizeof(struct cr_guard_range) == 16, "part of the format");

#endif
