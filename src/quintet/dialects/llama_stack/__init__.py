"""The dialect of Llama Stack: REST and server-sent events, with the OpenAI-shaped calls it rests on."""
