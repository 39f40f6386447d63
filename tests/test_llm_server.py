"""The loopback server that other tests stand on."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.llm_server import LLMServer, Reply, edit, perturb

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


def ask(api_base, user=USER, call="1"):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": user}]}).encode()
    headers = {"Content-Type": "application/json", "X-Evolve-Call": call}
    request = urllib.request.Request(f"{api_base}/chat/completions", body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


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
    with LLMServer([Reply(status=429, retry_after_s=2.5)]) as server, pytest.raises(urllib.error.HTTPError) as caught:
        ask(server.api_base)
    with caught.value as error:
        assert error.code == 429 and error.headers["Retry-After"] == "2.5"


def test_as_a_program_it_prints_its_url_and_logs_requests_before_it_answers(tmp_path):
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "tests.llm_server", "--latency", "0.01", "--log", str(log), "--replies", "ok,500"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        api_base = process.stdout.readline().strip()
        ask(api_base, call="a")
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(api_base, call="b")
        caught.value.close()
        process.terminate()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["call"] for line in lines] == ["a", "b"]
    assert lines[0]["prompt_sha"] == lines[1]["prompt_sha"] and lines[0]["model"] == "m"
