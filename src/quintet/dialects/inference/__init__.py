"""The dialect of the Inference API: REST for chats, trainings, engagement and inference logs."""
