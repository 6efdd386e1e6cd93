fconfigure stdout -buffering line
set sum 1
array set seen {}
proc step {i} {
	global sum seen steps
	for {set j 0} {$j < 3000} {incr j} {set sum [expr {($sum * 69069 + $j) & 0x7fffffff}]}
	set seen(k[expr {$sum % 97}]) $i
	puts "step $i $sum [array size seen]"
	if {$i < $steps} {after 2 step [expr {$i + 1}]} else {set ::done 1}
}
set steps [lindex $argv 0]
after 1 step 1
vwait done
