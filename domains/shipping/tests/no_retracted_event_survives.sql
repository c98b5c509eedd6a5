-- A message that was sent by mistake is neither a delay nor an arrival.
select events.event_id
from {{ ref('transport_events') }} as events
join read_json('sources/events/*.jsonl.gz', format = 'newline_delimited', columns = {retractedEventID: 'VARCHAR'}) as raw
    on events.event_id = upper(trim(raw.retractedEventID))
