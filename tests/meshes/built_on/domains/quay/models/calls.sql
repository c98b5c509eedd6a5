-- The log as it is written on the quay: local dates, ships in any case of letters.
select
    nullif(trim(call), '') as call_id,
    upper(trim(ship)) as ship,
    strptime(planned, '%d.%m.%Y %H:%M') as planned_at,
    strptime(nullif(berthed, ''), '%d.%m.%Y %H:%M') as berthed_at
from read_csv('sources/calls.csv', delim = ';', header = true, all_varchar = true)
