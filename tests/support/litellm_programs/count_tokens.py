"""Answer each line (a JSON text) with its tokens by the tokenizer that Anthropic published."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer

folder = Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"
claude = Tokenizer.from_file(str(folder / "anthropic_tokenizer.json"))
for line in sys.stdin:
    sys.stdout.write(f"{len(claude.encode(json.loads(line)).ids)}\n")
    sys.stdout.flush()
