/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The global snapshot on disk: what a job's checkpoint leaves behind, and the only way to make one valid.
 *
 *   <dir>/<ref>/                            0700, one per job (one mpirun)
 *       global_snapshot_meta.h5             says which sequences exist; docs/metadata.md
 *       <seq>/opal_snapshot_<rank>.ckpt/cr_context
 *       <seq>.tmp/                          a checkpoint that is being written, or what a crash left: never a snapshot
 *
 * Invariant: a sequence is a snapshot if and only if global_snapshot_meta.h5 has an entry for it.  The file is replaced as a whole,
 * by rename(2), after everything that it names is on stable storage.  At every moment the old or the new set of sequences is valid.
 *
 * Life of one checkpoint as the coordinator sees it:
 *   snapc_snapshot_begin()    makes <seq>.tmp/opal_snapshot_<rank>.ckpt/ for every rank, sweeps what crashes left
 *   (each rank writes         <seq>.tmp/ + SNAPC_CONTEXT_FMT; build the path with snapc_snapshot_context_path())
 *   snapc_snapshot_commit()   or   snapc_snapshot_undo()
 *
 * The name of a context file follows from the rank alone, so that a restart names all of them with one pattern.
 */
#ifndef SNAPC_SNAPSHOT_H
#define SNAPC_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libcr/cr_err.h"

#define SNAPC_REF_FMT "ompi_global_snapshot_%ld.ckpt"          /* pid of mpirun */
#define SNAPC_CONTEXT_FMT "opal_snapshot_%d.ckpt/cr_context"   /* rank; relative to the sequence directory */
#define SNAPC_META_NAME "global_snapshot_meta.h5"

/* Environment between mpirun's component, snapcd and ompi-restart. */
#define SNAPC_ENV_DIR "OMPI_CR_SNAPSHOT_DIR"             /* where references are made; the MCA parameter ompi_cr_snapshot_dir wins */
#define SNAPC_ENV_RESTARTED_FROM "OMPI_CR_RESTARTED_FROM" /* absolute path of the reference that this mpirun brings back */
#define SNAPC_ENV_RESTARTED_SEQ "OMPI_CR_RESTARTED_SEQ"
#define SNAPC_ENV_OMPI_VERSION "OMPI_CR_OMPI_VERSION"    /* given to snapcd by the component, read by snapc_job_load() */

/* One application context of mpirun's command line. */
struct snapc_app {
	char **argv;   /* program and arguments, NULL-terminated */
	uint32_t np;   /* 0: as mpirun chose */
};

/* The job: the same for every sequence of a reference. All strings belong to the struct. */
struct snapc_job {
	char *id;               /* unique for ever: host-pid-starttime of mpirun */
	int64_t mpirun_pid;
	uint64_t mpirun_start;  /* field 22 of /proc/PID/stat */
	char *host;             /* where mpirun ran */
	uint32_t uid;
	char **argv;            /* mpirun's */
	char *cwd;              /* mpirun's */
	char **env;             /* allow-list of mpirun's environment, "NAME=value" */
	char **mca;             /* MCA parameters in effect for the job, "name=value" */
	char *ompi_version;     /* "4.1.4", or "" when not known */
	char *amca;             /* argument of -am, or "" */
	struct snapc_app *apps;
	uint32_t napps;
	char *restarted_from;   /* absolute path of a reference directory, or "" */
	int64_t restarted_seq;  /* -1: not restarted */
};

struct snapc_rank {
	int32_t rank;
	int32_t pid;              /* as the kernel of its node knew it */
	const char *host;
	const char *engine;       /* "user", "kmod" */
	const char *context_file; /* relative to the sequence directory: SNAPC_CONTEXT_FMT */
	uint64_t file_bytes;      /* these three as DUMPED said */
	uint64_t pages;
	uint64_t checksum;
	const char *binding;      /* list of cpus, "0-3,8"; snapc_snapshot_binding() */
	uint64_t messages;        /* saved from flight by the drain */
	uint64_t message_bytes;
	uint64_t stopped_ns;      /* how long the program stood still */
};

/* When a rank had done each step, as the coordinator heard of it. CLOCK_REALTIME; 0: it did not come to that before the commit. */
struct snapc_rank_times {
	uint64_t checked_ns; /* said that nothing is against it */
	uint64_t arrived_ns; /* at the cut */
	uint64_t drained_ns; /* took in what was in flight */
	uint64_t frozen_ns;  /* all its threads stand still */
	uint64_t snapped_ns; /* its memory is captured */
	uint64_t resumed_ns; /* it runs again */
	uint64_t dumped_ns;  /* its context file is complete */
	uint64_t write_ns;   /* not a moment: how long it took to write that, by its own clock */
};

struct snapc_node {
	const char *host;
	const char *topology_xml; /* hwloc XML; snapc_topology_xml(); "" when not known */
};

struct snapc_phase {
	const char *name;
	uint64_t begin_ns;        /* CLOCK_REALTIME */
	uint64_t end_ns;
};

/* One sequence. The caller of commit owns everything; snapc_meta_load() returns one that snapc_snapshot_destroy() frees. */
struct snapc_snapshot {
	const char *dir;          /* absolute path of the reference directory: <snapshot dir>/<ref> */
	uint32_t seq;
	uint32_t np;
	const struct snapc_job *job;
	const struct snapc_rank *ranks; /* [np], any order */
	const struct snapc_rank_times *times; /* [np], row i is about ranks[i]; NULL: not known */
	const struct snapc_node *nodes;
	uint32_t nnodes;
	const struct snapc_phase *phases;
	uint32_t nphases;
	uint64_t begin_ns;        /* CLOCK_REALTIME: request */
	uint64_t end_ns;          /* CLOCK_REALTIME: commit; 0: commit takes the time */
	uint32_t keep;            /* after the commit keep this many newest sequences; 0: all */
	uint32_t flags;           /* SNAPC_COMMIT_* */
};
#define SNAPC_COMMIT_NOSYNC 1u /* no fsync anywhere: survives a killed job, not a crash of the machine */

/**
 * snapc_job_load - describe the job of a running mpirun from /proc and from the environment that the component gave to snapcd
 * @mpirun_pid: its pid
 * @restarted_from: reference directory (absolute) that it brings back, or NULL; its application contexts are taken over
 * @restarted_seq: the sequence
 * @ret_job: result; given, free with snapc_job_destroy()
 *
 * Return: 0, -ESRCH when there is no such process, -EACCES, -ENOMEM.
 */
int snapc_job_load(pid_t mpirun_pid, const char *restarted_from, int64_t restarted_seq, struct snapc_job **ret_job, struct cr_err *err);
void snapc_job_destroy(struct snapc_job *job);

/**
 * snapc_snapshot_begin - make room for one more sequence
 * @snapshot_dir: directory of the references; made (0700) when it is missing and its parent exists
 * @ref: name of the reference, one path component; when an older job owns it (pids come again) "-2", "-3", ... is put before ".ckpt":
 *   the last component of @ret_dir is the name to show
 * @job: whose reference it is
 * @np: ranks 0 .. np-1 get their directories
 * @ret_dir: PATH_MAX bytes; absolute path of the reference directory
 * @ret_seq: number of the new sequence: one above every number that is or was in use
 *
 * Return: 0, or -errno with words; nothing is left behind then.
 */
int snapc_snapshot_begin(const char *snapshot_dir, const char *ref, const struct snapc_job *job, uint32_t np, char *ret_dir,
			 uint32_t *ret_seq, struct cr_err *err);

/* Path of a rank's context file while it is being written: "<dir>/<seq>.tmp/opal_snapshot_<rank>.ckpt/cr_context". -ENAMETOOLONG. */
int snapc_snapshot_context_path(const char *dir, uint32_t seq, int rank, char *ret_path, size_t bytes);

/**
 * snapc_snapshot_commit - make a sequence valid
 * @s: borrowed
 *
 * Checks that every rank 0 .. np-1 has one row and a context file of the size that the row says, fsyncs what the ranks wrote and the
 * directories, renames <seq>.tmp to <seq>, writes the metadata with one more entry beside the old file and renames it over that.
 * Afterwards sequences beyond @s->keep are deleted; a failure to delete is no failure of the commit.
 *
 * Return: 0: valid.  -errno with words: not valid, every older sequence still is, and <seq>.tmp and <seq> are removed again.
 */
int snapc_snapshot_commit(const struct snapc_snapshot *s, struct cr_err *err);

/* Remove what begin made, what the ranks wrote and what a commit that died has left, and the reference directory when it holds nothing
 * else. A sequence that was committed stays. Never waits for a lock. */
void snapc_snapshot_undo(const char *dir, uint32_t seq);

/* Remove what is no snapshot from a reference directory that nobody writes to. Never waits. Return: 0 or -errno. */
int snapc_snapshot_tidy(const char *dir);

/* The same for the reference of @job, if it has one: what a coordinator that died has left to the one that takes its place. */
void snapc_snapshot_recover(const char *snapshot_dir, const char *ref, const struct snapc_job *job);

/* Remove sequences so that the @keep newest and @spare (-1: none) stay; first from the metadata, then from the disk. Return: number removed or
 * -errno. */
int snapc_snapshot_prune(const char *dir, uint32_t keep, int64_t spare, struct cr_err *err);

/**
 * snapc_topology_xml - this node's topology as hwloc writes it
 * @ret_xml: given, free with free()
 */
int snapc_topology_xml(char **ret_xml, struct cr_err *err);

/* The cpus that process @pid may run on, as a list "0-3,8". Return: 0 or -errno, and then @ret_list is "". */
int snapc_snapshot_binding(pid_t pid, char *ret_list, size_t bytes);

/*
 * mpirun and snapcd.  The component in mpirun starts:
 *
 *   snapcd --job JOBID --mpirun-pid PID --socket NAME --tool-socket NAME --np 0 --snapshot-dir DIR --ref REF
 *          --mpirun-fd FD --log FILE --keep N [--restarted-from DIR --seq N]
 *
 * in a session of its own, stdin from /dev/null, stderr to the log; DIR and --restarted-from are absolute.  Both abstract sockets must be
 * listening before snapcd writes the line "ready\n" (or "ready: " and what other nodes have to know) to FD, an AF_UNIX stream socket to
 * mpirun; mpirun waits for it (10 s) before it starts ranks, and refuses to start an unprotected job when it gets anything else: "error: words\n" is printed by mpirun.
 * Afterwards snapcd may write on FD:
 *   "terminate\n"   end the job without noise and let mpirun exit with status 0 (--term): mpirun kills the ranks, frozen as they are.
 *                   The ranks get no EXIT and no RESUME then: a rank that leaves by itself before mpirun has begun would make noise.
 * End of file on FD means that mpirun is gone.
 */

#endif
