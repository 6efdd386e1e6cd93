/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Topologies: made natively; the record keeps what the real library says about the new communicator (a cart of MPI_Cart_sub, a graph of
 * MPI_Comm_dup ...), from which it is put on again after a restart without reordering, as the members are in their final order already.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>

static int *ints(int n)
{
	return crcp_alloc((size_t)n * sizeof(int) + 1);
}

static void keep_cart(struct crcp_comm_recipe *recipe, MPI_Comm real)
{
	int n = 0, *coords, *dims, *periods;

	CR_LOWER(crcp_lower.MPI_Cartdim_get(real, &n));
	coords = ints(n);
	dims = recipe->topo[0] = ints(n);
	periods = recipe->topo[1] = ints(n);
	recipe->n[0] = n;
	if (coords && dims && periods)
		CR_LOWER(crcp_lower.MPI_Cart_get(real, n, dims, periods, coords));
	crcp_free(coords);
}

static void keep_graph(struct crcp_comm_recipe *recipe, MPI_Comm real)
{
	int nodes = 0, edges = 0, *index, *targets;

	CR_LOWER(crcp_lower.MPI_Graphdims_get(real, &nodes, &edges));
	index = recipe->topo[0] = ints(nodes);
	targets = recipe->topo[1] = ints(edges);
	recipe->n[0] = nodes;
	recipe->n[1] = edges;
	if (index && targets)
		CR_LOWER(crcp_lower.MPI_Graph_get(real, nodes, edges, index, targets));
}

static void keep_dist_graph(struct crcp_comm_recipe *recipe, MPI_Comm real)
{
	int in = 0, out = 0, weighted = 0;
	int *sources, *in_weights, *targets, *out_weights;

	CR_LOWER(crcp_lower.MPI_Dist_graph_neighbors_count(real, &in, &out, &weighted));
	sources = recipe->topo[0] = ints(in);
	in_weights = recipe->topo[1] = ints(in);
	targets = recipe->topo[2] = ints(out);
	out_weights = recipe->topo[3] = ints(out);
	recipe->n[0] = in;
	recipe->n[1] = out;
	recipe->weighted = weighted;
	if (sources && in_weights && targets && out_weights) {
		if (!weighted) {
			in_weights = MPI_UNWEIGHTED;
			out_weights = MPI_UNWEIGHTED;
		}
		CR_LOWER(crcp_lower.MPI_Dist_graph_neighbors(real, in, sources, in_weights, out, targets, out_weights));
	}
}

void crcp_comm_keep_topology(struct crcp_comm *c)
{
	struct crcp_comm_full *full = (struct crcp_comm_full *)(void *)c;
	MPI_Comm real = (MPI_Comm)c->h.real;
	int kind = MPI_UNDEFINED;

	if (c->recipe->inter)
		return;
	CR_LOWER(crcp_lower.MPI_Topo_test(real, &kind));
	if (kind == MPI_CART) {
		c->recipe->topology = CRCP_TOPO_CART;
		full->ompi_flags |= OMPI_COMM_FLAG_CART;
		keep_cart(c->recipe, real);
	} else if (kind == MPI_GRAPH) {
		c->recipe->topology = CRCP_TOPO_GRAPH;
		full->ompi_flags |= OMPI_COMM_FLAG_GRAPH;
		keep_graph(c->recipe, real);
	} else if (kind == MPI_DIST_GRAPH) {
		c->recipe->topology = CRCP_TOPO_DIST_GRAPH;
		full->ompi_flags |= OMPI_COMM_FLAG_DIST_GRAPH;
		keep_dist_graph(c->recipe, real);
	}
}

/* How many numbers topo[i] holds. */
static int topo_length(const struct crcp_comm_recipe *recipe, int i)
{
	switch (recipe->topology) {
	case CRCP_TOPO_CART:
		return i < 2 ? recipe->n[0] : 0;
	case CRCP_TOPO_GRAPH:
		return i < 2 ? recipe->n[i] : 0;
	case CRCP_TOPO_DIST_GRAPH:
		return recipe->n[i / 2];
	default:
		return 0;
	}
}

void crcp_comm_inherit_topology(struct crcp_comm *c, const struct crcp_comm *from)
{
	c->recipe->topology = from->recipe->topology;
	c->recipe->weighted = from->recipe->weighted;
	for (int i = 0; i < 2; i++)
		c->recipe->n[i] = from->recipe->n[i];
	for (int i = 0; i < 4; i++)
		c->recipe->topo[i] = crcp_dup(from->recipe->topo[i], (size_t)topo_length(from->recipe, i) * sizeof(int));
}

int crcp_comm_put_topology(struct crcp_comm *c, MPI_Comm plain, MPI_Comm *ret_real)
{
	const struct crcp_comm_recipe *p = c->recipe;
	int n = p->n[0], m = p->n[1];
	int *t0 = p->topo[0], *t1 = p->topo[1], *t2 = p->topo[2], *t3 = p->topo[3];
	MPI_Info none = (MPI_Info)crcp_real(MPI_INFO_NULL);
	MPI_Comm real = NULL;
	int r;

	if (p->topology == CRCP_TOPO_CART) {
		r = CR_LOWER(crcp_lower.MPI_Cart_create(plain, n, t0, t1, 0, &real));
	} else if (p->topology == CRCP_TOPO_GRAPH) {
		r = CR_LOWER(crcp_lower.MPI_Graph_create(plain, n, t0, t1, 0, &real));
	} else {
		if (!p->weighted) {
			t1 = MPI_UNWEIGHTED;
			t3 = MPI_UNWEIGHTED;
		}
		r = CR_LOWER(crcp_lower.MPI_Dist_graph_create_adjacent(plain, n, t0, t1, m, t2, t3, none, 0, &real));
	}
	if (r != MPI_SUCCESS)
		return -EINVAL;
	*ret_real = real;
	return 0;
}

/* ---- the calls ---- */
static int made(MPI_Comm parent, int r, MPI_Comm real, MPI_Comm *ret_comm, const char *function)
{
	struct crcp_comm *c = NULL;

	if (r == MPI_SUCCESS) {
		c = crcp_comm_adopt(crcp_comm(parent), real, CRCP_ID_DERIVED);
		if (!c)
			r = MPI_ERR_NO_MEM;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(crcp_is_live(parent) ? crcp_comm(parent) : NULL, r, function);
	*ret_comm = crcp_comm_handle(c);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Cart_create, (MPI_Comm comm, int ndims, const int dims[], const int periods[], int reorder, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Cart_create(parent, ndims, dims, periods, reorder, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Cart_create");
}

CRCP_API(int, MPI_Cart_sub, (MPI_Comm comm, const int remain[], MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Cart_sub(parent, remain, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Cart_sub");
}

CRCP_API(int, MPI_Graph_create, (MPI_Comm comm, int nnodes, const int index[], const int edges[], int reorder, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Graph_create(parent, nnodes, index, edges, reorder, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Graph_create");
}

/* What the real library refuses at once, without a word to the other ranks. */
static bool edges_refused(int size, int n, const int ranks[], const int weights[])
{
	if (n > 0 && (!ranks || !weights))
		return true;
	for (int i = 0; i < n; i++)
		if (ranks[i] < 0 || ranks[i] >= size || (weights != MPI_UNWEIGHTED && weights[i] < 0))
			return true;
	return false;
}

static bool graph_refused(int size, int n, const int nodes[], const int degrees[], const int targets[], const int weights[])
{
	int at = 0;

	if (n < 0 || (n > 0 && (!nodes || !degrees || !targets || !weights)))
		return true;
	for (int i = 0; i < n; at += degrees[i++])
		if (nodes[i] < 0 || nodes[i] >= size || degrees[i] < 0 ||
		    edges_refused(size, degrees[i], targets + at, weights == MPI_UNWEIGHTED ? weights : weights + at))
			return true;
	return false;
}

/*
 * Open MPI sends the edges of a distributed graph on the given communicator under the tags -50 and -51, from any source, and where processes are under
 * -111 and below. Non-blocking collectives on it have these tags too, once there were enough of them (every communicator that is made takes two): a rank that
 * is late takes one for the other, and the job hangs. On a communicator that is new there are none.
 */
static int fresh_make(MPI_Comm parent, MPI_Comm *ret_fresh)
{
	MPI_Group group;
	int r = CR_LOWER(crcp_lower.MPI_Comm_group(parent, &group));

	if (r != MPI_SUCCESS)
		return r;
	r = CR_LOWER(crcp_lower.MPI_Comm_create(parent, group, ret_fresh));
	CR_LOWER(crcp_lower.MPI_Group_free(&group));
	return r;
}

CRCP_API(int, MPI_Dist_graph_create,
	 (MPI_Comm comm, int n, const int nodes[], const int degrees[], const int targets[], const int weights[], MPI_Info info, int reorder,
	  MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, fresh = NULL, parent;
	MPI_Info real_info;
	int r = MPI_SUCCESS;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	if (crcp_is_live(comm) && !crcp_comm(comm)->recipe->inter && newcomm && !graph_refused(crcp_comm(comm)->size, n, nodes, degrees, targets, weights))
		r = fresh_make(parent, &fresh);
	if (r == MPI_SUCCESS)
		r = CR_LOWER(crcp_lower.MPI_Dist_graph_create(fresh ? fresh : parent, n, nodes, degrees, targets, weights, real_info, reorder,
							      newcomm ? &real : NULL));
	if (fresh)
		CR_LOWER(crcp_lower.MPI_Comm_free(&fresh));
	return made(comm, r, real, newcomm, "MPI_Dist_graph_create");
}

CRCP_API(int, MPI_Dist_graph_create_adjacent,
	 (MPI_Comm comm, int indegree, const int sources[], const int sourceweights[], int outdegree, const int destinations[],
	  const int destweights[], MPI_Info info, int reorder, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, fresh = NULL, parent;
	MPI_Info real_info;
	int r = MPI_SUCCESS;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	/* without reordering nothing is sent */
	if (reorder && crcp_is_live(comm) && !crcp_comm(comm)->recipe->inter && newcomm && indegree >= 0 && outdegree >= 0 &&
	    !edges_refused(crcp_comm(comm)->size, indegree, sources, sourceweights) && !edges_refused(crcp_comm(comm)->size, outdegree, destinations, destweights))
		r = fresh_make(parent, &fresh);
	if (r == MPI_SUCCESS)
		r = CR_LOWER(crcp_lower.MPI_Dist_graph_create_adjacent(fresh ? fresh : parent, indegree, sources, sourceweights, outdegree, destinations,
								       destweights, real_info, reorder, newcomm ? &real : NULL));
	if (fresh)
		CR_LOWER(crcp_lower.MPI_Comm_free(&fresh));
	return made(comm, r, real, newcomm, "MPI_Dist_graph_create_adjacent");
}
