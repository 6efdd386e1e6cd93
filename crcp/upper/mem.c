/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the MPI layer: size classes on mmap'ed arenas; large blocks are mappings of their own.
 * A block's head holds its class, so freeing needs no search.  A spin lock guards the lists; its holder never waits for anything.
 */
#include "crcp/upper/mem.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES (1u << 20)
#define MIN_SHIFT 5 /* smallest block: 32 bytes with its head */
#define MAX_SHIFT 18
#define CLASSES (MAX_SHIFT - MIN_SHIFT + 1)
#define LARGE 0xffffffffu

struct mem_head {
	uint64_t bytes; /* of the mapping when large */
	uint32_t class;
	uint32_t magic;
};
#define MEM_LIVE 0x6c697665u
#define MEM_DEAD 0x64656164u

struct mem_block {
	struct mem_head head;
	struct mem_block *next;
};

static struct {
	int lock;
	struct mem_block *free[CLASSES];
	char *arena, *arena_end;
} mem;

static void mem_lock(void)
{
	while (__atomic_exchange_n(&mem.lock, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void mem_unlock(void)
{
	__atomic_store_n(&mem.lock, 0, __ATOMIC_RELEASE);
}

static void *mem_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static struct mem_block *mem_carve(unsigned class)
{
	size_t bytes = (size_t)1 << (class + MIN_SHIFT);
	struct mem_block *b;

	if ((size_t)(mem.arena_end - mem.arena) < bytes) {
		char *arena = mem_map(ARENA_BYTES);

		if (!arena)
			return NULL;
		mem.arena = arena; /* the rest of the old arena is less than one block of this class: given up */
		mem.arena_end = arena + ARENA_BYTES;
	}
	b = (struct mem_block *)(void *)mem.arena;
	mem.arena += bytes;
	return b;
}

void *crcp_alloc(size_t bytes)
{
	struct mem_block *b;
	unsigned class = 0;
	size_t total;

	if (__builtin_add_overflow(bytes, sizeof(struct mem_head), &total))
		return NULL;
	if (total > (size_t)1 << MAX_SHIFT) {
		size_t mapped = (total + 4095) & ~(size_t)4095;

		b = mapped < total ? NULL : mem_map(mapped);
		if (!b)
			return NULL;
		b->head = (struct mem_head){ mapped, LARGE, MEM_LIVE };
		return (char *)b + sizeof(struct mem_head);
	}
	if (total > (size_t)1 << MIN_SHIFT)
		class = 64 - (unsigned)__builtin_clzl(total - 1) - MIN_SHIFT;
	mem_lock();
	b = mem.free[class];
	if (b)
		mem.free[class] = b->next;
	else
		b = mem_carve(class);
	mem_unlock();
	if (!b)
		return NULL;
	b->head = (struct mem_head){ 0, class, MEM_LIVE };
	return memset((char *)b + sizeof(struct mem_head), 0, bytes);
}

void crcp_free(void *p)
{
	struct mem_block *b;

	if (!p)
		return;
	b = (struct mem_block *)(void *)((char *)p - sizeof(struct mem_head));
	if (b->head.magic != MEM_LIVE)
		__builtin_trap(); /* freed twice, or not ours: a bug of this library */
	if (b->head.class == LARGE) {
		munmap(b, b->head.bytes);
		return;
	}
	b->head.magic = MEM_DEAD;
	mem_lock();
	b->next = mem.free[b->head.class];
	mem.free[b->head.class] = b;
	mem_unlock();
}

void *crcp_dup(const void *p, size_t bytes)
{
	void *copy = bytes ? crcp_alloc(bytes) : NULL;

	return copy ? memcpy(copy, p, bytes) : NULL;
}
