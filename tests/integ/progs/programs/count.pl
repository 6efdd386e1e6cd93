use strict;
$| = 1;
my (%seen, @last);
my $sum = 1;
for my $i (1 .. $ARGV[0]) {
	$sum = ($sum * 69069 + $_) & 0x7fffffff for 0 .. 4000;
	$seen{"k" . $sum % 97} = $i;
	unshift @last, $sum;
	pop @last if @last > 10;
	my $text = join ",", map { sprintf "%x", $_ } @last;
	$text =~ s/([a-f]+)/<$1>/g;
	select undef, undef, undef, 0.002;
	print "step $i $sum ", scalar(keys %seen), " $text\n";
}
