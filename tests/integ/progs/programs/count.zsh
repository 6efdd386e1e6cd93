# steps: a hash, an array, and arithmetic that depends on all steps before
typeset -A seen
typeset -a last
integer sum=1 i j
for ((i = 1; i <= $1; i++)); do
	for ((j = 0; j < 400; j++)); do sum=$(((sum * 69069 + j) & 0x7fffffff)); done
	seen[k$((sum % 97))]=$i
	last=($sum $last[1,9])
	print "step $i $sum ${#seen} $last[-1]"
done
