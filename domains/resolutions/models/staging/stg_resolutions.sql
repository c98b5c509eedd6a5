-- The log of the exception desk; exact duplicates go once codes are clean.
select distinct
    {{ code('resolution_no') }} as resolution_id,
    {{ code('shipment') }} as shipment_id,
    {{ panama_to_utc('decided_local') }} as decided_at,
    {{ code('action') }} as action_code,
    cast(replace(nullif(trim(cost_usd), ''), ',', '') as decimal(12, 2)) as cost_usd,
    {{ panama_to_utc('settled_local') }} as settled_at,
    trim(decided_by) as decided_by,
    nullif(trim(note), '') as note
from read_csv('sources/resolutions.csv', header = true, all_varchar = true)
