local seen, n, sum = {}, 0, 1
local numbers = coroutine.wrap(function()
	while true do
		for j = 0, 20000 do sum = (sum * 69069 + j) & 0x7fffffff end
		coroutine.yield(sum)
	end
end)
for i = 1, tonumber(arg[1]) do
	local v = numbers()
	if not seen[v % 97] then n = n + 1 end
	seen[v % 97] = tostring(v):rep(3)
	print("step", i, v, n, #seen[v % 97])
	io.stdout:flush()
end
