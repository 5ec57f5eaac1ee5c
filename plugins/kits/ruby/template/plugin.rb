# A Reactor plugin: one JSON value on stdin, one on stdout.
require "json"

def double(input, _context)
  {result: {result: input["value"] * 2}}
end

def ticks(options, cursor)
  from = cursor || 0
  to = [from + (options["period"].positive? ? 1 : 100), options["count"]].min
  events = ((from + 1)..to).map { |n| {data: {n: n}, key: n.to_s} }
  {events: events, cursor: to, more: options["period"].zero? && to < options["count"]}
end

request = JSON.parse($stdin.read)
answer =
  case request["action"] || request["trigger"]
  when "double" then double(request["input"], request["context"])
  when "ticks" then ticks(request["options"], request["cursor"])
  else {error: {type: "plugin.unknown", message: "there is no such action or trigger"}}
  end
puts JSON.generate(answer)
