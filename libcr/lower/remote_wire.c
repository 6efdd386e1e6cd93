/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the memory service: judged before anything relies on them. No state, no system calls.
 */
#include "libcr/lower/remote_wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_memory(uint64_t at, uint64_t bytes)
{
	return bytes > 0 && bytes <= CR_REMOTE_BYTES_MAX && at > 0 && at < CR_REMOTE_ADDRESS_END && bytes <= CR_REMOTE_ADDRESS_END - at;
}

static bool is_word(uint64_t at, uint64_t bytes)
{
	return at % bytes == 0 && is_memory(at, bytes);
}

static bool has_runs(const struct cr_remote_head *h)
{
	return h->type == CR_REMOTE_PUT || h->type == CR_REMOTE_GET || h->type == CR_REMOTE_COMBINE;
}

/* Fields that the type has no use for are zero. */
static bool is_clean(const struct cr_remote_head *h)
{
	bool combine = h->type == CR_REMOTE_COMBINE, words = h->type == CR_REMOTE_ADD || h->type == CR_REMOTE_EXCHANGE;

	return h->zero == 0 && (combine || (h->op == 0 && h->datatype == 0)) && (combine || h->type == CR_REMOTE_SWAP || h->lock == 0) &&
	       (h->type == CR_REMOTE_EXCHANGE || h->value[1] == 0) && (words || h->value[0] == 0) && (has_runs(h) || h->runs == 0);
}

int cr_remote_head_check(const struct cr_remote_head *h)
{
	bool reply = h->flags & CR_REMOTE_REPLY, fetch = h->flags & CR_REMOTE_FETCH, good = false;

	if (h->magic != CR_REMOTE_MAGIC || (h->flags & ~(CR_REMOTE_REPLY | CR_REMOTE_FETCH)) || !is_clean(h))
		return -EPROTO;
	if (fetch && (h->type != CR_REMOTE_COMBINE || !reply))
		return -EPROTO;
	if (has_runs(h) && (h->bytes == 0 || h->bytes > CR_REMOTE_BYTES_MAX || h->runs > CR_REMOTE_RUNS_MAX))
		return -EPROTO;
	if (has_runs(h) && (h->runs ? h->at != 0 : !is_memory(h->at, h->bytes)))
		return -EPROTO;
	switch (h->type) {
	case CR_REMOTE_PUT:
		good = true;
		break;
	case CR_REMOTE_GET:
		good = reply;
		break;
	case CR_REMOTE_COMBINE:
		good = h->bytes <= CR_REMOTE_COMBINE_MAX && is_word(h->lock, 4) && (fetch || h->op != CR_REMOTE_OP_NONE) && h->op > 0 && h->op < CR_REMOTE_OPS &&
		       h->datatype < CR_REMOTE_KINDS;
		break;
	case CR_REMOTE_SWAP:
		good = reply && h->bytes <= CR_REMOTE_SWAP_MAX && is_memory(h->at, h->bytes) && is_word(h->lock, 4);
		break;
	case CR_REMOTE_ADD:
		good = h->bytes == 0 && is_word(h->at, 8);
		break;
	case CR_REMOTE_EXCHANGE:
		good = reply && h->bytes == 0 && is_word(h->at, 8);
		break;
	case CR_REMOTE_SYNC:
		good = reply && h->bytes == 0 && h->at == 0;
		break;
	}
	return good ? 0 : -EPROTO;
}

int cr_remote_runs_check(const struct cr_remote_head *h, const struct cr_remote_run *runs)
{
	uint64_t left = h->bytes;

	for (uint32_t i = 0; i < h->runs; i++) {
		if (!is_memory(runs[i].at, runs[i].bytes) || runs[i].bytes > left)
			return -EPROTO;
		left -= runs[i].bytes;
	}
	return left == 0 ? 0 : -EPROTO;
}

uint64_t cr_remote_data_bytes(const struct cr_remote_head *h)
{
	if (h->type == CR_REMOTE_PUT)
		return h->bytes;
	if (h->type == CR_REMOTE_COMBINE)
		return h->op == CR_REMOTE_OP_NONE ? 0 : h->bytes;
	return h->type == CR_REMOTE_SWAP ? 2 * h->bytes : 0;
}

/* ---- SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF) ---- */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(struct sip *s, int times)
{
	while (times-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s, 2);
	s->v0 ^= word;
}

uint64_t cr_remote_mac(const uint8_t key[CR_REMOTE_SECRET_BYTES], const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t k[2], word, last = (uint64_t)bytes << 56;
	struct sip s;

	memcpy(k, key, sizeof(k));
	s = (struct sip){ k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573 };
	for (; bytes >= 8; bytes -= 8, at += 8) {
		memcpy(&word, at, 8);
		sip_word(&s, word);
	}
	for (size_t i = 0; i < bytes; i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_word(&s, last);
	s.v2 ^= 0xff;
	sip_round(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t cr_remote_tag(const uint8_t secret[CR_REMOTE_SECRET_BYTES], int service, uint32_t rank, const uint8_t challenge[CR_REMOTE_NONCE_BYTES],
		       const uint8_t nonce[CR_REMOTE_NONCE_BYTES])
{
	struct {
		uint32_t service, rank;
		uint8_t challenge[CR_REMOTE_NONCE_BYTES], nonce[CR_REMOTE_NONCE_BYTES];
	} text = { .service = service != 0, .rank = rank };

	memcpy(text.challenge, challenge, sizeof(text.challenge));
	memcpy(text.nonce, nonce, sizeof(text.nonce));
	return cr_remote_mac(secret, &text, sizeof(text));
}
