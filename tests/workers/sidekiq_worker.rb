# A real worker of Sidekiq for contract tests: URL, directory, queue names. Each queue has its
# bands, the high one first. `SIDEKIQ_POLL_S` lets it look for due jobs that often.

# Ruby would raise an exception, and RubyGems, which looks for libraries now, would make it another.
Signal.trap("TERM", "SYSTEM_DEFAULT")
require "sidekiq/cli"
require_relative "sidekiq_jobs"

def set(owner, name, value)
  owner.send(:remove_const, name)
  owner.const_set(name, value)
end

# How often a worker tells what it runs: every 5 s by default.
set(Sidekiq::Launcher, :BEAT_PAUSE, 0.05)
# How long it waits for a job before it looks whether it shall stop: 2 s by default.
set(Sidekiq::BasicFetch, :TIMEOUT, {timeout: 0.2})
# How often it looks, while it stops, whether its jobs have ended.
set(Sidekiq::Util, :PAUSE_TIME, 0.02)

module Patience
  # Sidekiq puts a job back that it took in the moment it was told to stop: tests would have to
  # start another worker for it.
  def fetch
    get_one
  end
end
Sidekiq::Processor.prepend(Patience)

module Eagerness
  # Sidekiq waits up to 5 s at random before it first looks for due jobs.
  def initial_wait
  end
end

url, Act.directory, *names = ARGV
Sidekiq.configure_server do |config|
  config.redis = {url: url}
  config.server_middleware { |chain| chain.add Report }
end
if (poll = ENV["SIDEKIQ_POLL_S"])
  Sidekiq.options[:poll_interval_average] = poll.to_f
  Sidekiq::Scheduled::Poller.prepend(Eagerness)
end
Sidekiq.logger.level = Logger::FATAL # each failed job would be an error

bands = [":high", "", ":low"].flat_map { |band| names.map { |name| "#{name}#{band}" } }
cli = Sidekiq::CLI.instance
jobs = File.join(__dir__, "sidekiq_jobs.rb")
cli.parse(["-c", "1", "-r", jobs] + bands.flat_map { |band| ["-q", band] })
cli.run
