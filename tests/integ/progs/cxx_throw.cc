// SPDX-License-Identifier: GPL-2.0-or-later
// C++: exceptions through several frames and in threads, thread_local objects, iostreams.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "step.h"

namespace {

struct Counted {
	static std::atomic<int> alive;
	Counted() { alive++; }
	~Counted() { alive--; }
};
std::atomic<int> Counted::alive;

thread_local std::string where = "start";

std::uint64_t mix(std::uint64_t x)
{
	x ^= x >> 33;
	return x * 0xff51afd7ed558ccdULL;
}

std::uint64_t dive(int depth, std::uint64_t x)
{
	Counted guard;
	if (depth == 0)
		throw std::runtime_error(std::to_string(mix(x)));
	return dive(depth - 1, mix(x + depth)) + 1;
}

std::uint64_t attempt(std::uint64_t x)
{
	try {
		return dive(20, x);
	} catch (const std::exception &e) {
		where = e.what();
		return std::stoull(where);
	}
}

} // namespace

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	std::map<std::string, std::vector<std::uint64_t>> book;
	std::uint64_t sum = 1;

	for (int s = 0; s < steps; s++) {
		std::uint64_t other = 0;
		std::thread t([&] {
			for (int i = 0; i < 200; i++)
				other = attempt(other + i);
		});
		for (int i = 0; i < 200; i++)
			sum = attempt(sum + i);
		t.join();
		book[std::to_string(s % 13)].push_back(sum ^ other);
		sum ^= book[std::to_string((s * 5) % 13)].empty() ? 0 : book[std::to_string((s * 5) % 13)].back();
		if (Counted::alive != 0 || where.empty()) {
			std::cout << "not ok: objects left\n";
			return 1;
		}
		std::cout << "step " << s << " " << std::hex << sum << std::dec << std::endl;
		step_hold(s);
		usleep(8000);
	}
	std::cout << "ok\n";
	return 0;
}
