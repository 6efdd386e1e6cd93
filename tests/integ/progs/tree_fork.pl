#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-or-later
# Children that are forked, talked to over a pair of sockets, left as zombies and waited for; a parent blocked in waitpid.
use strict; use warnings;
use Socket; use POSIX qw(:sys_wait_h _exit); use IO::Handle; use Time::HiRes qw(sleep);
my $steps = shift // 12;
$| = 1;
socketpair(my $mine, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
$mine->autoflush(1); $theirs->autoflush(1);
my $echo = fork() // die;
if (!$echo) { close $mine; while (my $l = <$theirs>) { print $theirs "echo $l"; } _exit(4); }
close $theirs;
for my $s (0 .. $steps - 1) {
	my $zombie = fork() // die;
	_exit($s % 50) if !$zombie;
	my $killed = fork() // die;
	if (!$killed) { sleep 0.02; kill 'KILL', $$; sleep 10; }
	my $grand = fork() // die;
	if (!$grand) {
		my $inner = fork() // die;
		if (!$inner) { sleep 0.05; _exit(getppid() > 1 ? 21 : 1); }
		waitpid($inner, 0);
		_exit($? >> 8);
	}
	print $mine "line $s\n";
	my $l = <$mine>; chomp $l;
	waitpid($grand, 0); my $g = $? >> 8;
	waitpid($killed, 0); my $k = $? & 127;
	sleep 0.02;
	waitpid($zombie, 0); my $z = $? >> 8;
	print "step $s $l $g $k $z\n";
}
close $mine;
waitpid($echo, 0);
print "ok ", $? >> 8, " ", waitpid(-1, WNOHANG), "\n";
