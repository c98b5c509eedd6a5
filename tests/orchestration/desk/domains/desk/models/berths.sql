select
    boats.boat,
    notes.berth::bigint as berth
from {{ source('fleet', 'boats') }} as boats
inner join {{ ref('notes') }} as notes using (boat)
