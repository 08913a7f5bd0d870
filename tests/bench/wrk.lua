-- 10 KB signed GitHub deliveries, each with an id of its own (GitHub's signature covers the body alone).
local file = io.open(os.getenv("BENCH_BODY"), "rb")
local body = file:read("*a")
file:close()
local threads = 0
local number = 0
local prefix

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init()
  math.randomseed(os.time() + id * 7919)
  prefix = string.format("%08x-%04x-4000-8000-%02x", math.random(0, 0x7fffffff), math.random(0, 0xffff), id)
  wrk.method = "POST"
  wrk.body = body
  wrk.headers["X-Hub-Signature-256"] = os.getenv("BENCH_SIGNATURE")
  wrk.headers["X-GitHub-Event"] = "push"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  number = number + 1
  wrk.headers["X-GitHub-Delivery"] = prefix .. string.format("%010x", number)
  return wrk.format()
end

function done(summary, latency)
  local accepted = summary.requests - summary.errors.status
  io.write(string.format("RESULT %d %d %d %d %d %d\n", accepted, summary.errors.status, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.connect + summary.errors.read +
    summary.errors.write + summary.errors.timeout))
end
