/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a snapshot says of the machine: this node's topology and where a process may run. */
#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/snapshot.h"

int snapc_topology_xml(char **ret_xml, struct cr_err *err)
{
	hwloc_topology_t topology;
	char *xml = NULL;
	int bytes = 0, rc = 0;

	if (hwloc_topology_init(&topology) < 0)
		return cr_err_set(err, ENOMEM, "hwloc: cannot make a topology");
	/* Not by the x86 backend: it binds itself to every processor in turn, and waits there for the ranks that compute. */
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	if (hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) < 0 || hwloc_topology_load(topology) < 0)
		rc = cr_err_set(err, EIO, "hwloc: cannot read the topology of this node");
	else if (hwloc_topology_export_xmlbuffer(topology, &xml, &bytes, 0) < 0)
		rc = cr_err_set(err, EIO, "hwloc: cannot write the topology of this node as XML");
	if (rc == 0) {
		*ret_xml = strdup(xml);
		if (!*ret_xml)
			rc = cr_err_set(err, ENOMEM, "no memory for the topology of this node");
		hwloc_free_xmlbuffer(topology, xml);
	}
	hwloc_topology_destroy(topology);
	return rc;
}

int snapc_snapshot_binding(pid_t pid, char *ret_list, size_t bytes)
{
	static const char key[] = "Cpus_allowed_list:";
	char path[64], line[8192], *p = NULL;
	FILE *f;

	ret_list[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!p && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			p = line + sizeof(key) - 1;
	}
	fclose(f);
	if (!p)
		return -ENOENT;
	p += strspn(p, " \t");
	p[strcspn(p, "\n")] = '\0';
	if (strlen(p) >= bytes)
		return -ENAMETOOLONG;
	strcpy(ret_list, p);
	return 0;
}
