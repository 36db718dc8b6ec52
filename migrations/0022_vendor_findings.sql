-- What a speech service is asked for, and what it found beside the words.

-- What the request asked for in place of the settings; null where it asked for nothing.
alter table transcriptions add column options jsonb;
-- What the service says of the call (sentiment, interruptions, issues, categories), in the words of this
-- system. Kept beside the analysis and never mixed with it; goes with its row.
alter table transcriptions add column findings jsonb;

grant update (findings) on transcriptions to aftercall_transcription;
