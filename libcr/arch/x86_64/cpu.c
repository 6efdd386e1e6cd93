/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU features: recorded at a checkpoint, compared before a restart. */
#include "libcr/arch/x86_64/cpu.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcr/arch/x86_64/raw.h"

#define ARCH_GET_XCOMP_PERM_ 0x1022
#define ARCH_REQ_XCOMP_PERM_ 0x1023
/* CPUID.1:ECX bits that differ by state of the system, not of the processor: OSXSAVE stays, hypervisor does not count. */
#define LEAF1_ECX_IGNORE (1u << 31)

void cr_cpu_describe(struct cr_cpu_payload *ret)
{
	uint32_t a, b, c, d, lo, hi;

	memset(ret, 0, sizeof(*ret));
	__cpuid(0, a, b, c, d);
	memcpy(ret->vendor, &b, 4);
	memcpy(ret->vendor + 4, &d, 4);
	memcpy(ret->vendor + 8, &c, 4);
	__cpuid(1, a, b, ret->leaf1_ecx, ret->leaf1_edx);
	if (__get_cpuid_max(0, NULL) >= 7)
		__cpuid_count(7, 0, a, ret->leaf7_ebx, ret->leaf7_ecx, ret->leaf7_edx);
	if (ret->leaf1_ecx & (1u << 27)) {
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		ret->xcr0 = (uint64_t)hi << 32 | lo;
	}
	if (cr_sys2(SYS_arch_prctl, ARCH_GET_XCOMP_PERM_, &ret->xcomp_perm) < 0)
		ret->xcomp_perm = 0;
}

static void name_add(char *names, size_t bytes, const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, bytes - used, "%s%s", used ? " " : "", name);
}

/* Names of the features in @was that @now has not. */
static void missing_names(const struct cr_cpu_payload *was, const struct cr_cpu_payload *now, char *names, size_t bytes)
{
#define CR_CPU_FEATURE(word, bit, name)              \
	if ((was->word & ~now->word) >> (bit) & 1)   \
		name_add(names, bytes, name);
#include "libcr/arch/x86_64/cpu_features.def"
#undef CR_CPU_FEATURE
}

int cr_cpu_check(const struct cr_cpu_payload *was, struct cr_err *err)
{
	struct cr_cpu_payload now;
	char names[300] = "";
	uint32_t missing1, missing7b;

	cr_cpu_describe(&now);
	/* Whole words where all of it is the processor's; of the others what has a name. */
	missing1 = was->leaf1_ecx & ~now.leaf1_ecx & ~LEAF1_ECX_IGNORE;
	missing7b = was->leaf7_ebx & ~now.leaf7_ebx;
	missing_names(was, &now, names, sizeof(names));
	if (names[0] || missing1 || missing7b || (was->xcr0 & ~now.xcr0))
		return cr_err_set(err, ENOTSUP,
				  "this processor lacks features of the one where the program was saved (%.12s): %s%sCPUID.1.ECX %#x, CPUID.7.EBX %#x, state components %#lx: restart it on a node of that kind",
				  was->vendor, names, names[0] ? "; " : "", missing1, missing7b, was->xcr0 & ~now.xcr0);
	return 0;
}

int cr_cpu_prepare(const struct cr_cpu_payload *was, struct cr_err *err)
{
	struct cr_cpu_payload now;

	cr_cpu_describe(&now);
	for (int bit = 18; bit < 63; bit++)
		if ((was->xcomp_perm & ~now.xcomp_perm) >> bit & 1) {
			long rc = cr_sys2(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_, bit);

			if (rc < 0)
				return cr_err_set(err, (int)rc, "the kernel refuses state component %d (AMX) that the program uses: %s", bit,
						  strerror((int)-rc));
		}
	return 0;
}
