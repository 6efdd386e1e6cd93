// SPDX-License-Identifier: GPL-2.0-or-later
/* The interface's edge: version, commands that are not known, addresses that cannot be written, fields that must be zero. */
#include "crmod.h"

int main(void)
{
	struct cr_ioc_version v = { 0 };
	int fd = dev_open();

	is(dev_call(fd, CR_IOC_VERSION, &v), 0, "VERSION");
	ok(v.ret_abi == CR_IOC_ABI, "the module speaks version %u", v.ret_abi);
	ok(v.ret_features & CR_IOC_FEATURE_STOP, "it has features: %#llx", (unsigned long long)v.ret_features);
	is(dev_call(fd, CR_IOC_VERSION, (void *)8), -EFAULT, "VERSION to an address that is not there");
	is(dev_call(fd, _IO(CR_IOC_TYPE, 0x7f), NULL), -ENOTTY, "a command that is not known");
	is(dev_call(fd, _IO(0x12, 1), NULL), -ENOTTY, "a command of another device");
	ok(read(fd, &v, sizeof(v)) < 0 && errno == EINVAL, "the device cannot be read");
	ok(lseek(fd, 0, SEEK_SET) < 0 && errno == ESPIPE, "nor positioned");
	close(fd);
	return tap_end();
}
