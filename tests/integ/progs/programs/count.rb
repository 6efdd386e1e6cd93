$stdout.sync = true
seen = {}
fiber = Fiber.new do
  sum = 1
  loop do
    2000.times { |j| sum = (sum * 69069 + j) & 0x7fffffff }
    Fiber.yield sum
  end
end
box = Queue.new
back = Queue.new
helper = Thread.new { while (v = box.pop) do back << v.to_s.reverse end }
1.upto(ARGV[0].to_i) do |i|
  sum = fiber.resume
  seen["k#{sum % 97}"] = i
  box << sum
  sleep 0.002
  puts "step #{i} #{sum} #{seen.size} #{back.pop}"
end
box << nil
helper.join
