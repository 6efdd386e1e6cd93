/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the upper half: find it, save it, put it back.
 *
 * The program's memory is every mapping in the window plus the extra ranges outside of it (non-PIE executables, MAP_32BIT, fixed
 * addresses). Lower half; plain libc code; runs in the agent thread, in its forked copy-on-write child, or in cr_restart.
 */
#ifndef CR_MEM_H
#define CR_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "libcr/image/cr_image.h"

struct cr_mem_range {
	uint64_t start;
	uint64_t end;
};

struct cr_mem_areas; /* parsed smaps of the program's ranges */

/* Receives one reason per call why a process cannot be checkpointed. */
typedef void (*cr_nocr_fn)(void *arg, const char *reason);

struct cr_vma;

/* What is asked about shared memory when several processes are saved or restarted together; NULL members: this process is alone. */
struct cr_mem_set {
	/* Do only processes of the set map this object? */
	bool (*shared_within)(const struct cr_vma *vma);
	/* Does another process of the set map this object? */
	bool (*used_within)(const struct cr_vma *vma);
	/* Has another process of the set a descriptor of this object? What is in it is saved with the descriptors then. */
	bool (*held_within)(const struct cr_vma *vma);
	/* Does a process before this one save all of the area's pages? */
	bool (*saved_before)(const struct cr_vma *vma);
	/* Restart: where the lower half has the object mapped, as a whole; NULL: it is this process's alone. */
	void *(*object)(const struct cr_vma *vma);
	/* Another name, in the same directory, of the file that lost this one: malloc'ed; NULL: none */
	char *(*other_name)(const char *name, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);
	/* Restart: will this file be made before it is mapped? */
	bool (*made)(const char *name);
};

extern struct cr_mem_set cr_mem_set;

/* The object is under way in a UNIX socket: what is in it is saved with the descriptors. */
void cr_mem_objects_passed(struct cr_mem_areas *areas, uint64_t dev, uint64_t ino, uint64_t bytes);

/**
 * cr_mem_own_dir_set - where our own libraries of the program's half are
 * @dir: absolute path without "/" at the end, kept by the caller
 *
 * Private mappings of files below it are saved with all of their content, so that an image does not depend on the version of ompi-cr that is
 * installed when it is restarted (the gate's version still has to be the same). Until this is called there are none.
 */
void cr_mem_own_dir_set(const char *dir);

/**
 * cr_mem_areas_create - take stock of the program's memory areas
 * @extra: ranges outside of the window that belong to the program too; borrowed for the call
 * @n_extra: their number
 * @ret: the list; destroy with cr_mem_areas_destroy()
 *
 * An area that lies partly in a range counts with that part.
 * Context: any thread of the lower half; to save from, the program must be frozen since before the call.
 * Return: 0 or a negative errno.
 */
int cr_mem_areas_create(const struct cr_mem_range *extra, unsigned int n_extra, struct cr_mem_areas **ret, struct cr_err *err);
/**
 * cr_mem_areas_identify - checksums of the files that are mapped privately, for a restart to tell whether they changed
 *
 * Reads each file the first time, and again when it was changed; files that cannot be read or are very large are told by size and time alone.
 * Context: agent thread; before the program is frozen, so that afterwards everything is known.
 */
void cr_mem_areas_identify(struct cr_mem_areas *areas);

#define CR_MEM_STORE_EXE 1u     /* the executable */
#define CR_MEM_STORE_PRIVATE 2u /* all other private mappings of files */
#define CR_MEM_STORE_SHARED 4u  /* shared mappings of files: they come back as memory that is not the file's any more */

/* Marks mappings of files to be saved with all of their content, so that a restart needs the files no more. @exe: absolute path. */
void cr_mem_areas_store(struct cr_mem_areas *areas, unsigned int what, const char *exe);

/* Takes NULL. */
void cr_mem_areas_destroy(struct cr_mem_areas *areas);

/**
 * cr_mem_check - reasons why these areas cannot be saved
 * @report: called once per reason, which names address, file and remedy; NULL only counts
 *
 * Device mappings, memory shared with another process, ...
 * Context: in the process itself, not in a forked child.
 * Return: the number of reasons.
 */
int cr_mem_check(const struct cr_mem_areas *areas, cr_nocr_fn report, void *arg);

/* True when fork() captures the areas: no MADV_DONTFORK, no MADV_WIPEONFORK, no shared anonymous memory, which goes on changing. */
bool cr_mem_forkable(const struct cr_mem_areas *areas);

/**
 * cr_mem_save - write VMA and PAGES records
 * @in_child: this is a forked child: protections may be changed to read what they forbid
 *
 * Context: the process itself while the program is frozen, or a child made by fork() or a bare clone; allocates nothing, takes no lock.
 * Return: 0; -EOPNOTSUPP with a reason as cr_mem_check() gives it; another negative errno.
 */
int cr_mem_save(const struct cr_mem_areas *areas, struct cr_image_writer *w, bool in_child, struct cr_err *err);

/**
 * cr_mem_restore_check - can every area of the image be put back in this process?
 *
 * Changes nothing. Sound areas, addresses free, files there and unchanged, memory lockable.
 * Return: 0; -EADDRINUSE; -ESTALE or -ENOENT with the file's name; -EBADMSG the image makes no sense; another negative errno.
 */
int cr_mem_restore_check(const struct cr_image *img, struct cr_err *err);

/* Where descriptors of objects come from whose content a FILE record has. */
struct cr_mem_object_source {
	/* For reading and writing, empty and of the right size: borrowed; or a negative errno. */
	int (*fd)(void *arg, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, struct cr_err *err);
	void *arg;
};

/**
 * cr_mem_restore - map and fill every area
 * @source: of objects that are both mapped and open; NULL: an image with such is refused
 *
 * Every page run is checked against its checksum as it is read. The last protections are applied; @img may be closed afterwards.
 * Large images are read by two threads, which have ended when this returns.
 * Context: no thread of the program exists yet. On failure the process is to exit.
 * Return: 0 or a negative errno.
 */
int cr_mem_restore(const struct cr_image *img, const struct cr_mem_object_source *source, struct cr_err *err);

#endif
