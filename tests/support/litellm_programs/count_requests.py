"""Say of each request (a JSON list of them on stdin) how many tokens LiteLLM counts in it."""

import json
import sys

import litellm

counts = [
    litellm.token_counter(
        model=asked["model"], messages=asked["messages"], tools=asked.get("tools")
    )
    for asked in json.load(sys.stdin)
]
sys.stdout.write(json.dumps(counts) + "\n")
