# SPDX-License-Identifier: GPL-2.0-or-later
# The context file (libcr_image.la), the memory of the upper half (libcr_mem.la, needs libcr_image.la), cr_inspect, their tests and fuzz target.

noinst_LTLIBRARIES += libcr/image/libcr_image.la libcr/lower/libcr_mem.la

libcr_image_libcr_image_la_SOURCES = \
	libcr/image/cr_image.h libcr/image/cr_image_format.h libcr/image/cr_image_sum.h libcr/image/cr_vma.h libcr/image/record_types.def \
	libcr/image/reader.c libcr/image/relocate.c libcr/image/relocate.h libcr/image/types.c libcr/image/writer.c
libcr_image_libcr_image_la_CFLAGS = $(AM_CFLAGS) $(XXHASH_CFLAGS)
libcr_image_libcr_image_la_LIBADD = $(XXHASH_LIBS)

libcr_lower_libcr_mem_la_SOURCES = \
	libcr/lower/cr_mem.h libcr/lower/mem_private.h libcr/lower/engine.h libcr/lower/engine.c libcr/lower/engine_kmod.c \
	libcr/lower/mem_areas.c libcr/lower/mem_flags.c libcr/lower/mem_check.c libcr/lower/mem_identity.c libcr/lower/mem_objects.c libcr/lower/mem_pages.c libcr/lower/mem_plan.c libcr/lower/mem_restore.c \
	libcr/lower/mem_restore_check.c libcr/lower/mem_save.c

libcr_lower_libcr_mem_la_CFLAGS = $(AM_CFLAGS) $(XXHASH_CFLAGS)
libcr_lower_libcr_mem_la_LIBADD = $(XXHASH_LIBS)

bin_PROGRAMS += cr_inspect
cr_inspect_SOURCES = libcr/tools/cr_inspect.c libcr/tools/inspect_record.c libcr/tools/inspect_record.h libcr/tools/json.h libcr/tools/json.c libcr/tools/progress.h libcr/tools/progress.c
cr_inspect_LDADD = libcr/image/libcr_image.la

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_image tests/unit/test_image_inspect tests/unit/test_mem tests/unit/test_mem_random
TESTS += tests/unit/test_image tests/unit/test_image_inspect tests/unit/test_mem tests/unit/test_mem_random
tests_unit_test_mem_random_SOURCES = tests/unit/test_mem_random.c
tests_unit_test_mem_random_CFLAGS = $(UNIT_CFLAGS) $(XXHASH_CFLAGS)
tests_unit_test_mem_random_LDADD = libcr/lower/libcr_mem.la libcr/image/libcr_image.la $(XXHASH_LIBS) $(UNIT_LIBS)
tests_unit_test_image_inspect_SOURCES = tests/unit/test_image_inspect.c
tests_unit_test_image_inspect_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_image_inspect_LDADD = libcr/image/libcr_image.la $(UNIT_LIBS)
tests_unit_test_image_SOURCES = tests/unit/test_image.c
tests_unit_test_image_CFLAGS = $(UNIT_CFLAGS) $(XXHASH_CFLAGS)
tests_unit_test_image_LDADD = libcr/image/libcr_image.la $(XXHASH_LIBS) $(UNIT_LIBS)
tests_unit_test_mem_SOURCES = tests/unit/test_mem.c tests/unit/test_mem_areas.c tests/unit/test_mem_engine.c tests/unit/test_mem_objects.c \
	tests/unit/test_mem_parts.c tests/unit/test_mem_parts.h tests/unit/test_mem_refuse.c
tests_unit_test_mem_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_mem_LDADD = libcr/lower/libcr_mem.la libcr/image/libcr_image.la $(UNIT_LIBS)
endif

# Built by clang with its own flags, so not an automake program. A minute by hand:
#   make tests/fuzz/fuzz_image && mkdir -p corpus && tests/fuzz/fuzz_image -make_corpus=corpus
#   tests/fuzz/fuzz_image -max_total_time=60 -max_len=65536 corpus
EXTRA_DIST += tests/fuzz/fuzz_image.c
if HAVE_CLANG
FUZZ_TARGETS += tests/fuzz/fuzz_image
check_DATA += tests/fuzz/fuzz_image
endif
FUZZ_IMAGE_C = tests/fuzz/fuzz_image.c libcr/lower/mem_plan.c libcr/image/reader.c libcr/image/relocate.c libcr/image/types.c libcr/image/writer.c
tests/fuzz/fuzz_image: $(FUZZ_IMAGE_C)
	@$(MKDIR_P) tests/fuzz
	$(AM_V_GEN)cd $(srcdir) && $(CLANG) -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(WARN_CFLAGS) -I. -Iinclude $(XXHASH_CFLAGS) $(FUZZ_IMAGE_C) -o $(abs_top_builddir)/$@ $(XXHASH_LIBS)
	@$(MKDIR_P) $@.corpus && $@ -make_corpus=$@.corpus
CLEANFILES += tests/fuzz/fuzz_image tests/fuzz/fuzz_image.corpus/good-*
