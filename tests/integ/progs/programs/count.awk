BEGIN {
	sum = 1
	for (i = 1; i <= steps; i++) {
		for (j = 0; j < 8000; j++)
			sum = (sum * 69069 + j) % 2147483648
		seen["k" sum % 97] = i
		n = asorti(seen, order)
		print "step", i, sum, n, order[1], toupper(sprintf("%x", sum))
		fflush()
	}
}
