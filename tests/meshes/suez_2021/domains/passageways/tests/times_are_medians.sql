-- What the contract says of the times: whole seconds, or halves where the count is even.
select waterway, arrival_date
from {{ ref('dwell_times') }}
where
    abs(dwell_hours * 7200 - round(dwell_hours * 7200)) > 0.0001
    or (complete_transits % 2 = 1 and abs(dwell_hours * 3600 - round(dwell_hours * 3600)) > 0.0001)
