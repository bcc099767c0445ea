# Calls Sidekiq's client as a program would: one JSON line per request on stdin, one per answer.
# Request: {url, push}, `push` being what `Sidekiq::Client.push` takes; or {url, push_bulk}; or
# {url, set, id, call}: a method of the job of this id in a sorted set, such as `retry` or `kill`.
require "sidekiq"
require "sidekiq/api"
require_relative "sidekiq_jobs"

SETS = {"dead" => Sidekiq::DeadSet, "retry" => Sidekiq::RetrySet, "schedule" => Sidekiq::ScheduledSet}

def perform(request)
  return Sidekiq::Client.push(request["push"]) if request["push"]
  return Sidekiq::Client.push_bulk(request["push_bulk"]) if request["push_bulk"]

  job = SETS.fetch(request["set"]).new.find_job(request["id"])
  return false unless job

  job.public_send(request["call"])
  true
end

url = nil
$stdin.each_line do |line|
  request = JSON.parse(line)
  if request["url"] != url
    url = request["url"]
    Sidekiq.configure_client { |config| config.redis = {url: url} }
  end
  answer = begin
    {"answer" => perform(request)}
  rescue => error
    {"error" => "#{error.class}: #{error.message}"}
  end
  puts JSON.generate(answer)
  $stdout.flush
end
