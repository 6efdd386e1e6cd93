# plots with dumb terminals, and a sum that depends on all of them
set terminal dumb 60 12
set samples 1000
sum = 1
do for [i = 1:last] {
	set print "-"
	do for [j = 1:200] { sum = (sum * 137 + j) % 65521 }
	print sprintf("step %d %d", i, sum)
	set output
	plot [0:10] sin(x * i / 7.0 + sum) * exp(-x / i) notitle
}
