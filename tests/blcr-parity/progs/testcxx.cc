/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header from C++: callbacks with C linkage, an exception that is thrown and caught between checkpoint and restart. */
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include <libcr.h>

static std::string trace;

extern "C" int callback(void *arg)
{
	trace += static_cast<const char *>(arg);
	try {
		if (cr_checkpoint(CR_CHECKPOINT_READY) >= 0)
			throw std::runtime_error("behind");
	} catch (const std::exception &e) {
		trace += e.what();
	}
	return 0;
}

int main()
{
	cr_checkpoint_args_t args;
	cr_checkpoint_handle_t handle;
	cr_client_id_t id = cr_init();

	if (id < 0 || cr_register_callback(callback, const_cast<char *>("before "), CR_THREAD_CONTEXT) < 0)
		return 1;
	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = "context";
	if (cr_request_checkpoint(&args, &handle))
		return 2;
	if (cr_poll_checkpoint(&handle, nullptr) <= 0 && cr_epoch() == 1)
		return 3;
	if (cr_enter_cs(id) || cr_leave_cs(id) || trace != "before behind") {
		std::fprintf(stderr, "%s\n", trace.c_str());
		return 4;
	}
	return 0;
}
