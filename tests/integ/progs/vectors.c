/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long loops that make no system call and keep all their state in vector registers: a checkpoint in the middle must save
 * and restore the whole of them (zmm0-31 and the masks where the processor has AVX-512, ymm0-15 otherwise), and MXCSR, and the x87 stack.
 */
#include <string.h>
#include <unistd.h>

#include "step.h"

static void turn512(uint64_t *io, uint64_t rounds)
{
	__asm__ volatile("vmovdqu64 0(%0), %%zmm0\n\tvmovdqu64 64(%0), %%zmm15\n\tvmovdqu64 128(%0), %%zmm16\n\tvmovdqu64 192(%0), %%zmm31\n\t"
			 "mov $0x5a, %%eax\n\tkmovw %%eax, %%k5\n\tmov $0xff, %%eax\n\tkmovw %%eax, %%k1\n"
			 "1:\n\t"
			 "vpaddq %%zmm31, %%zmm0, %%zmm0\n\tvpxorq %%zmm0, %%zmm15, %%zmm15\n\tvpaddq %%zmm15, %%zmm16, %%zmm16\n\t"
			 "vprolq $7, %%zmm31, %%zmm31\n\tvpaddq %%zmm16, %%zmm31, %%zmm31%{%%k5%}\n\tkxnorw %%k1, %%k1, %%k1\n\t"
			 "dec %1\n\tjnz 1b\n\t"
			 "vmovdqu64 %%zmm0, 0(%0)\n\tvmovdqu64 %%zmm15, 64(%0)\n\tvmovdqu64 %%zmm16, 128(%0)\n\tvmovdqu64 %%zmm31, 192(%0)\n\tvzeroupper"
			 : "+r"(io), "+r"(rounds)
			 :
			 : "eax", "memory", "cc", "xmm0", "xmm15");
}

static void turn256(uint64_t *io, uint64_t rounds)
{
	__asm__ volatile("vmovdqu 0(%0), %%ymm0\n\tvmovdqu 64(%0), %%ymm7\n\tvmovdqu 128(%0), %%ymm15\n"
			 "1:\n\t"
			 "vpaddq %%ymm15, %%ymm0, %%ymm0\n\tvpxor %%ymm0, %%ymm7, %%ymm7\n\tvpaddq %%ymm7, %%ymm15, %%ymm15\n\t"
			 "dec %1\n\tjnz 1b\n\t"
			 "vmovdqu %%ymm0, 0(%0)\n\tvmovdqu %%ymm7, 64(%0)\n\tvmovdqu %%ymm15, 128(%0)\n\tvzeroupper"
			 : "+r"(io), "+r"(rounds)
			 :
			 : "memory", "cc", "xmm0", "xmm7", "xmm15");
}

/* Rounding modes of both units and a value that stays on the x87 stack. */
static uint64_t turn87(uint64_t rounds)
{
	unsigned short cw = 0x0f7f; /* truncate */
	double third = 1.0 / 3.0, out;
	uint64_t bits;

	__asm__ volatile("fldcw %2\n\tfldz\n\tfldl %3\n1:\n\tfadd %%st(0), %%st(1)\n\tdec %1\n\tjnz 1b\n\tfstp %%st(0)\n\tfstpl %0\n\tfninit"
			 : "=m"(out), "+r"(rounds)
			 : "m"(cw), "m"(third)
			 : "cc", "st", "st(1)");
	memcpy(&bits, &out, sizeof(bits));
	return bits;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 60), wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
	uint64_t io[32], sum = 0;

	if (!__builtin_cpu_supports("avx2")) {
		puts("no AVX2: nothing to test");
		return 77;
	}
	for (int i = 0; i < 32; i++)
		io[i] = step_mix((uint64_t)i + 1);
	printf("width %d\n", wide ? 512 : 256);
	for (int s = 0; s < steps; s++) {
		unsigned int csr = 0x7f80, got; /* SSE rounds towards zero */

		__asm__ volatile("ldmxcsr %0" : : "m"(csr));
		if (wide)
			turn512(io, 10000000);
		else
			turn256(io, 10000000);
		__asm__ volatile("stmxcsr %0" : "=m"(got));
		STEP_CHECK((got & 0x6000) == 0x6000);
		csr = 0x1f80;
		__asm__ volatile("ldmxcsr %0" : : "m"(csr));
		for (int i = 0; i < 32; i++)
			sum = step_mix(sum ^ io[i]);
		sum ^= turn87(5000000);
		step_print(s, sum);
	}
	puts("ok");
	return 0;
}
