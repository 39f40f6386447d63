"""The loopback server that other tests stand on."""

import http.client
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.llm_server import LLMServer, Rate, Reply, Storm, edit, perturb

PROGRAM = """import math
LIMIT = 0.5
# EVOLVE-BLOCK-START
def score(x):
    # 0.25 in a comment
    a = 0.5
    b = math.sin(1e-3 * x) + 2.0
    return a * b
# EVOLVE-BLOCK-END
print(score(3.25))
"""
USER = f"Improve it.\n\n## Parent\n\nscore 1.0\n```python\n{PROGRAM}```\n\n## Others\n```python\ny = 7.5\n```\n"


def post(api_base, *messages, call="1"):
    """Returns the open answer to messages given as (role, content)."""
    said = [{"role": role, "content": content} for role, content in messages]
    body = json.dumps({"model": "m", "messages": said}).encode()
    headers = {"Content-Type": "application/json", "X-Evolve-Call": call}
    request = urllib.request.Request(f"{api_base}/chat/completions", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=10)


def ask(api_base, user=USER, call="1"):
    with post(api_base, ("user", user), call=call) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def usage(api_base, user=USER):
    with post(api_base, ("user", user)) as answer:
        return json.load(answer)["usage"]


def refusal(api_base):
    """Returns the status and the Retry-After of a request that must be refused."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(api_base)
    with caught.value as error:
        return error.code, error.headers["Retry-After"]


def apply(program, answer):
    old, new = re.search(r"<<<<<<< SEARCH\n(.*?)\n=======\n(.*?)\n>>>>>>> REPLACE", answer, re.S).groups()
    assert program.count(old) == 1
    return program.replace(old, new)


def test_an_edit_changes_one_number_between_the_markers():
    children = {apply(PROGRAM, edit(USER, str(call))) for call in range(200)}
    assert len(children) == 200 and PROGRAM not in children
    for child in children:
        changed = [pair for pair in zip(PROGRAM.splitlines(), child.splitlines(), strict=True) if pair[0] != pair[1]]
        assert len(changed) == 1 and changed[0][0].startswith(("    a =", "    b ="))
        compile(child, "child", "exec")


def test_a_program_without_numbers_gets_an_assignment():
    program = "# EVOLVE-BLOCK-START\ndef f():\n    return 1\n# EVOLVE-BLOCK-END\n"
    old, new = perturb(program, 123)
    assert (old, new) == ("def f():", "variant_123 = 123\ndef f():")


def test_answers_start_with_title_and_hypothesis_and_differ_by_call_only():
    with LLMServer() as server:
        first, second, again = (ask(server.api_base, call=call) for call in ("1", "2", "1"))
    assert re.match(r"TITLE: .+\nHYPOTHESIS: .+\n\n<<<<<<< SEARCH\n", first)
    assert first == again != second


def test_a_list_is_used_up_and_a_function_sees_the_request():
    with LLMServer(["one"]) as server:
        assert ask(server.api_base) == "one" and ask(server.api_base).startswith("TITLE: Change a constant")
    with LLMServer(lambda index, request: f"{index} {request.call}") as server:
        assert ask(server.api_base, call="x") == "0 x"


def test_an_error_has_its_status_and_header():
    with LLMServer([Reply(status=429, retry_after_s=2.5)]) as server:
        assert refusal(server.api_base) == (429, "2.5")


@pytest.mark.parametrize("where", ["first", "last", "system", "parts"])
def test_a_conversation_is_answered_by_an_edit_of_its_parent(where):
    answered, reply = ("assistant", "I would rather not."), ("user", "That is no edit:\n```\nz = 9.5\n```\nOnce more.")
    messages = {
        "first": [("system", "Improve."), ("user", USER), answered, reply],
        "last": [("system", "Improve."), ("user", "Think of an idea."), answered, ("user", USER)],
        "system": [("system", USER), ("user", "Go."), answered, reply],
        "parts": [("user", [{"type": "text", "text": USER}]), answered, reply],
    }[where]
    with LLMServer() as server, post(server.api_base, *messages) as answer:
        text = json.load(answer)["choices"][0]["message"]["content"]
    assert text == edit(USER, "1")
    compile(apply(PROGRAM, text), "child", "exec")


def test_a_storm_covers_requests_and_then_passes():
    storms = [Storm.parse("429:1-2"), Storm(reply=Reply(status=503), calls=range(0, 5, 2))]
    with LLMServer("abcdef", storms=storms) as server:
        assert [refusal(server.api_base) for _ in range(3)] == [(503, None), (429, "0.1"), (429, "0.1")]
        assert ask(server.api_base) == "d" and refusal(server.api_base)[0] == 503 and ask(server.api_base) == "f"


def test_a_storm_of_some_seconds_begins_with_the_first_request():
    now = [100.0]
    with LLMServer(["a", "b", "c"], storms=[Storm.parse("500:2-5.5s")], clock=lambda: now[0]) as server:
        assert ask(server.api_base) == "a"
        now[0] += 2.0
        assert refusal(server.api_base)[0] == 500
        now[0] += 3.5
        assert ask(server.api_base) == "c"


def test_a_rate_says_when_the_next_request_is_let_through():
    now = [0.0]
    with LLMServer(rate=Rate.parse("2/10"), clock=lambda: now[0]) as server:
        ask(server.api_base)
        now[0] = 4.0
        ask(server.api_base)
        assert refusal(server.api_base) == (429, "6") == refusal(server.api_base)
        now[0] = 10.0
        ask(server.api_base)
        assert refusal(server.api_base) == (429, "4")
        now[0] = 14.0
        ask(server.api_base)


def test_the_usage_says_what_was_cached():
    with LLMServer([Reply(text="a", tokens_in=100, tokens_cached=60), "b"]) as server:
        assert usage(server.api_base)["prompt_tokens_details"] == {"cached_tokens": 60}
        assert "prompt_tokens_details" not in usage(server.api_base)
    beginning = "".join(f"fact {i}\n" for i in range(100))
    with LLMServer(caching=True) as server:
        first, second = (usage(server.api_base, beginning + USER + end) for end in ("x", "y"))
    assert "prompt_tokens_details" not in first
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert second["prompt_tokens"] - 64 < cached < second["prompt_tokens"]


def test_a_dripping_answer_never_ends():
    with LLMServer([Reply(fault="drip")]) as server, post(server.api_base, ("user", USER)) as answer:
        assert answer.status == 200 and answer.read(2) == b"  "


def test_a_cut_answer_ends_too_early():
    with (
        LLMServer([Reply(fault="cut")]) as server,
        post(server.api_base, ("user", USER)) as answer,
        pytest.raises(http.client.IncompleteRead),
    ):
        answer.read()


def test_a_body_is_sent_as_it_is():
    with LLMServer([Reply(body=b'{"choices": []}')]) as server, post(server.api_base, ("user", USER)) as answer:
        assert answer.read() == b'{"choices": []}'


def test_as_a_program_it_prints_its_url_and_logs_requests_before_it_answers(tmp_path):
    log = tmp_path / "requests.jsonl"
    weather = ["--replies", "ok,500", "--storm", "429:2-2", "--rate", "9/60", "--caching"]
    command = [sys.executable, "-m", "tests.llm_server", "--latency", "0.01", "--log", str(log), *weather]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        api_base = process.stdout.readline().strip()
        ask(api_base, call="a")
        assert [refusal(api_base)[0] for _ in range(2)] == [500, 429]
        process.terminate()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["call"] for line in lines] == ["a", "1", "1"]
    assert lines[0]["prompt_sha"] == lines[1]["prompt_sha"] and lines[0]["model"] == "m"
