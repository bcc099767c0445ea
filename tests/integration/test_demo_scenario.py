"""The script of the sample platform: the same for the same seed, and with something of all."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from quarterdeck.config import Queues
from quarterdeck.demo.scenario import (
    CAMPAIGNS,
    EARLY_FAILURES,
    MAIL,
    NORMAL,
    QUIET,
    REPORTS,
    ROUND,
    WARMUP,
    Trouble,
    campaign_at,
    fate_of,
    job_at,
)
from quarterdeck.demo.steps import run_step
from quarterdeck.queues.rules import MASK, Redactor


def test_same_seed_gives_the_same_jobs_and_fates() -> None:
    first = [(job_at(7, n), fate_of(7, MAIL, n)) for n in range(600)]
    assert first == [(job_at(7, n), fate_of(7, MAIL, n)) for n in range(600)]
    assert first != [(job_at(8, n), fate_of(8, MAIL, n)) for n in range(600)]


@pytest.mark.parametrize("salt", ["1", "2"])
def test_job_is_the_same_in_every_process(salt: str) -> None:
    # Python salts its own hashes in each process; nothing here may depend on them.
    code = "from quarterdeck.demo.scenario import job_at; print(job_at(7, 3), end='')"
    environment = {**os.environ, "PYTHONHASHSEED": salt}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == str(job_at(7, 3))


@pytest.mark.parametrize("seed", [0, 7, -3, 10**12])
def test_about_one_job_in_thirty_fails_for_good(seed: int) -> None:
    jobs = range(2 * ROUND)
    fates = [fate_of(seed, job_at(seed, n).queue, n) for n in jobs]
    failing = sum(fate.trouble is not None and not fate.is_passing for fate in fates)
    assert 1 / 40 < failing / len(jobs) < 1 / 24
    assert any(fate.trouble is not None and fate.is_passing for fate in fates)


@pytest.mark.parametrize("seed", range(40))
def test_first_jobs_hold_failures_whatever_the_seed(seed: int) -> None:
    for number in EARLY_FAILURES:
        job = job_at(seed, number)
        assert (job.queue, job.priority) == (MAIL, NORMAL)
        assert fate_of(seed, MAIL, number).trouble_at(3) is not None


def test_round_is_quiet_stretches_and_campaigns() -> None:
    for start in (0, 5 * ROUND):
        number = start
        for priority, size in CAMPAIGNS:
            assert {campaign_at(n) for n in range(number, number + QUIET)} == {None}
            end = number + QUIET + size
            assert {campaign_at(n) for n in range(number + QUIET, end)} == {(priority, end)}
            number = end
        assert number == start + ROUND


def test_quiet_stretch_has_every_queue_and_band() -> None:
    seen = {(job.queue, job.priority) for job in (job_at(7, n) for n in range(QUIET))}
    assert seen == {(MAIL, 10), (MAIL, 100), (MAIL, 200), (REPORTS, 100), (WARMUP, 100)}


def test_jobs_of_a_campaign_share_it() -> None:
    jobs = [job_at(7, n) for n in range(QUIET, QUIET + CAMPAIGNS[0][1])]
    assert len({job.payload["campaign_id"] for job in jobs}) == 1
    assert {(job.queue, job.priority) for job in jobs} == {(MAIL, CAMPAIGNS[0][0])}


def test_payloads_are_marked_invented_and_hold_something_to_redact() -> None:
    redact = Redactor(Queues().redact_keys)
    for payload in (job_at(7, n).payload for n in range(QUIET)):
        assert payload["sample"] is True
        assert MASK in json.dumps(redact(payload))
        text = json.dumps(payload)
        hosts = re.findall(r"@([\w.]+)", text) + re.findall(r'"host": "([^"]+)"', text)
        assert all(re.search(r"(^|\.)example(\.(com|net|org))?$", host) for host in hosts)
        assert all(ip.startswith("203.0.113.") for ip in re.findall(r"\d+\.\d+\.\d+\.\d+", text))


@pytest.mark.parametrize("trouble", Trouble)
def test_trouble_is_a_real_exception_from_deep_inside(trouble: Trouble) -> None:
    payload = job_at(7, min(EARLY_FAILURES)).payload
    with pytest.raises(Exception, match=r"\w+") as caught:
        run_step(MAIL, payload, trouble)
    assert len(caught.traceback) >= 4
    assert Path(caught.traceback[-1].path).name == "relay.py"


def test_no_trouble_no_exception() -> None:
    for number in range(QUIET):
        job = job_at(7, number)
        run_step(job.queue, job.payload, None)
