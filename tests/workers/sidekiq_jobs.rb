# What jobs of Sidekiq do in the contract tests; see `contract/fleet.py` and `workers/script.py`.
require "json"
require "sidekiq"

# Debian's client of Redis is newer than its Sidekiq, and warns of what that calls.
Redis.silence_deprecations = true

class ConnectionError < StandardError; end

class Act
  include Sidekiq::Worker
  sidekiq_options retry: 0, backtrace: true

  class << self
    attr_accessor :directory
  end

  def perform(content = {}, *)
    outcome = content.is_a?(Hash) ? content["outcome"] : nil
    if outcome == "fail" && !there?("healed")
      raise ConnectionError, "421 4.7.0 mx1.example.com: too many connections"
    end
    sleep 0.01 while outcome == "hold" && !there?("released")
  end

  private

  def there?(name)
    File.exist?(File.join(self.class.directory, name))
  end
end

# One write of a short line: appends of several processes do not mix.
class Report
  def call(_worker, job, _queue)
    attempt = job["retry_count"] ? job["retry_count"] + 2 : 1
    line = JSON.generate("job_id" => job["jid"], "attempt" => attempt) + "\n"
    File.open(File.join(Act.directory, "runs.jsonl"), "a") { |file| file.syswrite(line) }
    yield
  end
end
