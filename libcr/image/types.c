/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of the record types.
 */
#include "libcr/image/cr_image.h"

const char *cr_image_type_name(uint32_t type)
{
	switch (type) {
#define CR_RECORD(number, name, text) \
	case number:                  \
		return #name;
#include "libcr/image/record_types.def"
#undef CR_RECORD
	}
	return "unknown";
}
