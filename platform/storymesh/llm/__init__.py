"""Chat models behind LangChain: limits, retries, budget and a response cache. Knows nothing of records."""
