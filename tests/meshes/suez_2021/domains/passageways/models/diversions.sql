-- The file's ship types are another publisher's vocabulary: they stay behind.
select
    imo,
    regexp_replace(trim(vessel_name), '\s+', ' ', 'g') as vessel_name,
    'suez-canal' as waterway,
    date '2021-03-23' as blockage_began_on,
    case "Route"
        when 'West - East' then 'west-east'
        when 'East - West' then 'east-west'
        when 'To/From Europe' then 'europe'
    end as route
from read_csv(
    '{{ var("public_data") }}/adb-passageways/Verified_Reroute.csv',
    header = true, all_varchar = true
)
