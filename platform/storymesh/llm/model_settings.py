"""The settings of a model that a narrative may have: its name with provider, and sampling parameters.

Checked without LangChain and without anything else that asks a model, so that `storymesh check` stays quick.
"""

import re
from collections.abc import Mapping

from storymesh.errors import suggest_name

Parameters = Mapping[str, str | int | float | bool]

# The variable that holds each provider's key, for an error that can name it.
KEYS: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "azure_openai": "AZURE_OPENAI_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "perplexity": "PPLX_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
}

# Providers that are opened besides those with a key of their own. One that runs a model in this process (huggingface)
# or leads on to any other (litellm, langsmith) is none of them.
OTHER_PROVIDERS = frozenset(
    {"anthropic_bedrock", "azure_ai", "bedrock", "bedrock_converse", "google_anthropic_vertex", "google_vertexai"}
    | {"ibm", "nvidia", "ollama", "upstage"}
)
# Providers that sign in as this machine does, with files or tokens of its own, which no other address may see: where
# they are is for the environment to say.
_AMBIENT_CREDENTIALS = OTHER_PROVIDERS - {"nvidia", "ollama", "upstage"} | {"azure_openai"}
# All that a narrative may say of a model: how it draws its words. Where the model is, who pays, what is sent along, and
# what is done with an answer is not for it to say; and a class of LangChain takes much of that by name.
PARAMETERS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "typical_p",
        "seed",
        "random_seed",
        "stop",
        "streaming",
        "stream_usage",
        "num_ctx",
    }
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "thinking_budget", "thinking_level"}
    | {
        "frequency_penalty",
        "presence_penalty",
        "repeat_penalty",
        "repetition_penalty",
        "repeat_last_n",
        "length_penalty",
    }
    | {"reasoning", "reasoning_effort", "effort", "verbosity", "mirostat", "mirostat_eta", "mirostat_tau", "tfs_z"}
    | {"service_tier", "keep_alive", "safe_prompt", "use_responses_api", "api_version"}
)
SECRET = re.compile(r"(^|_)(key|token|secret|password|url|base|endpoint|proxy|host|headers)$", re.IGNORECASE)

PROVIDER = re.compile(r"(?P<provider>[a-z][a-z0-9_]*):(?P<name>(?!.*\.\.)[\w./:@+-]{1,200})", re.ASCII)


def invalid_setting(model: str, parameters: Parameters) -> str | None:
    """Return why this model name or these parameters are not allowed, None if they are. Reads no environment."""
    named = PROVIDER.fullmatch(model)
    if named is None:
        return f"the model {model[:200]!r} names no provider: write it as provider:model, such as openai:gpt-4o-mini"
    if named["provider"] not in KEYS and named["provider"] not in OTHER_PROVIDERS:
        known = suggest_name(named["provider"], [*KEYS, *OTHER_PROVIDERS])
        return f"the model {model} cannot be opened: '{named['provider']}' is no provider that is known; {known}"
    for name in parameters:
        if SECRET.search(name):
            return f"the parameter '{name}' does not belong into a file: keys and proxies stand in the environment"
        if name not in PARAMETERS:
            return f"the parameter '{name}' is not for a narrative to set; {suggest_name(name, PARAMETERS)}"
    return None


def invalid_address_of(model: str) -> str | None:
    """Return why a narrative may not say where this model is, None if it may."""
    provider = model.partition(":")[0]
    if provider not in _AMBIENT_CREDENTIALS:
        return None
    return f"{provider} signs in with what this machine knows, so a narrative does not say where it is"


def max_output_tokens(parameters: Parameters) -> int | None:
    """Return the most tokens that the parameters allow for one answer, None if they set no limit."""
    caps = [
        parameters[name]
        for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
        if name in parameters
    ]
    numbers = [int(cap) for cap in caps if isinstance(cap, int) and not isinstance(cap, bool) and cap > 0]
    return max(numbers) if numbers else None  # of two the provider may know only one
