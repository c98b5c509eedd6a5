-- Bookings as the Hamburg desk exports them; exact duplicates go once codes are clean.
select distinct
    {{ code('booking_no') }} as shipment_id,
    {{ hamburg_to_utc('booked_local') }} as booked_at,
    trim(carrier) as carrier,
    trim(consignee) as consignee,
    {{ name_code('cargo') }} as cargo_type,
    cast(trim(boxes) as bigint) as container_count,
    cast(replace(replace(trim(value_usd), '.', ''), ',', '.') as decimal(14, 2)) as cargo_value_usd,
    {{ code('"from"') }} as origin,
    {{ code('"to"') }} as destination,
    trim(imo) as vessel_imo,
    trim(vessel) as exported_vessel_name
from read_csv('sources/shipments.csv', delim = ';', header = true, all_varchar = true)
