/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The predefined operations of MPI on the kinds of elements that its predefined datatypes are of: inout[i] = in[i] op inout[i].
 *
 * The real library's MPI_Reduce_local is not for us: it counts references to the operation, and does so without care for a second thread
 * unless the program has asked for MPI_THREAD_MULTIPLE.
 */
#include "libcr/lower/remote.h"

#include <complex.h>
#include <errno.h>

#define EACH(statement)                        \
	for (uint64_t i = 0; i < n; i++) {     \
		statement;                     \
	}                                      \
	return 0
#define IF_MORE(sign) if (a[i] sign b[i]) b[i] = a[i]

#define ORDERED                                                   \
	case CR_REMOTE_OP_MAX: EACH(IF_MORE(>));                  \
	case CR_REMOTE_OP_MIN: EACH(IF_MORE(<));
#define SUMS                                                      \
	case CR_REMOTE_OP_SUM: EACH(b[i] = (element)(b[i] + a[i]));      \
	case CR_REMOTE_OP_PROD: EACH(b[i] = (element)(b[i] * a[i]));
#define LOGIC                                                     \
	case CR_REMOTE_OP_LAND: EACH(b[i] = (element)(b[i] && a[i]));    \
	case CR_REMOTE_OP_LOR: EACH(b[i] = (element)(b[i] || a[i]));     \
	case CR_REMOTE_OP_LXOR: EACH(b[i] = (element)(!b[i] != !a[i]));
#define BITS                                                      \
	case CR_REMOTE_OP_BAND: EACH(b[i] = (element)(b[i] & a[i]));     \
	case CR_REMOTE_OP_BOR: EACH(b[i] = (element)(b[i] | a[i]));      \
	case CR_REMOTE_OP_BXOR: EACH(b[i] = (element)(b[i] ^ a[i]));

#define KIND(name, type, operations)                                                \
	static int combine_##name(const void *in, void *inout, uint64_t n, uint32_t op) \
	{                                                                           \
		typedef type element;                                               \
		const element *a = in;                                              \
		element *b = inout;                                                 \
                                                                                    \
		switch (op) {                                                       \
			operations                                                  \
		}                                                                   \
		return -EPROTO;                                                     \
	}

/* The larger (smaller) value with its place; the smaller place of two equal values. */
#define PLACED(sign)                                                            \
	if (a[i].value sign b[i].value)                                         \
		b[i] = a[i];                                                    \
	else if (a[i].value == b[i].value && a[i].place < b[i].place)           \
		b[i].place = a[i].place
#define PLACES                                                    \
	case CR_REMOTE_OP_MAXLOC: EACH(PLACED(>));                \
	case CR_REMOTE_OP_MINLOC: EACH(PLACED(<));
#define PAIR(name, value_type, place_type) \
	struct name { value_type value; place_type place; }; \
	KIND(name, struct name, PLACES)

KIND(I8, int8_t, ORDERED SUMS LOGIC BITS)
KIND(I16, int16_t, ORDERED SUMS LOGIC BITS)
KIND(I32, int32_t, ORDERED SUMS LOGIC BITS)
KIND(I64, int64_t, ORDERED SUMS LOGIC BITS)
KIND(U8, uint8_t, ORDERED SUMS LOGIC BITS)
KIND(U16, uint16_t, ORDERED SUMS LOGIC BITS)
KIND(U32, uint32_t, ORDERED SUMS LOGIC BITS)
KIND(U64, uint64_t, ORDERED SUMS LOGIC BITS)
KIND(FLOAT, float, ORDERED SUMS)
KIND(DOUBLE, double, ORDERED SUMS)
KIND(LONG_DOUBLE, long double, ORDERED SUMS)
KIND(COMPLEX_FLOAT, float complex, SUMS)
KIND(COMPLEX_DOUBLE, double complex, SUMS)
KIND(COMPLEX_LONG_DOUBLE, long double complex, SUMS)
PAIR(SHORT_INT, short, int)
PAIR(INT_INT, int, int)
PAIR(LONG_INT, long, int)
PAIR(FLOAT_INT, float, int)
PAIR(DOUBLE_INT, double, int)
PAIR(LONG_DOUBLE_INT, long double, int)
PAIR(FLOAT_FLOAT, float, float)
PAIR(DOUBLE_DOUBLE, double, double)

static const struct {
	int (*combine)(const void *in, void *inout, uint64_t n, uint32_t op);
	uint32_t bytes;
} kinds[CR_REMOTE_KINDS] = {
#define SCALAR(name, type) [CR_REMOTE_##name] = { combine_##name, sizeof(type) },
#define PAIRED(name) [CR_REMOTE_##name] = { combine_##name, sizeof(struct name) },
	SCALAR(I8, int8_t) SCALAR(I16, int16_t) SCALAR(I32, int32_t) SCALAR(I64, int64_t)
	SCALAR(U8, uint8_t) SCALAR(U16, uint16_t) SCALAR(U32, uint32_t) SCALAR(U64, uint64_t)
	SCALAR(FLOAT, float) SCALAR(DOUBLE, double) SCALAR(LONG_DOUBLE, long double)
	SCALAR(COMPLEX_FLOAT, float complex) SCALAR(COMPLEX_DOUBLE, double complex) SCALAR(COMPLEX_LONG_DOUBLE, long double complex)
	PAIRED(SHORT_INT) PAIRED(INT_INT) PAIRED(LONG_INT) PAIRED(FLOAT_INT) PAIRED(DOUBLE_INT) PAIRED(LONG_DOUBLE_INT)
	PAIRED(FLOAT_FLOAT) PAIRED(DOUBLE_DOUBLE)
};

uint32_t cr_remote_kind_bytes(uint32_t kind)
{
	return kind < CR_REMOTE_KINDS ? kinds[kind].bytes : 0;
}

int cr_remote_reduce(const void *in, void *inout, uint64_t n, uint32_t kind, uint32_t op)
{
	return kind < CR_REMOTE_KINDS && kinds[kind].combine ? kinds[kind].combine(in, inout, n, op) : -EPROTO;
}
