"""Any upstream that speaks OpenAI's chat completions and embeddings."""
