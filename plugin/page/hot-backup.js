// The page Admin > Backups, for administrators: a backup holds everything that the node has.
//
// One dispatcher_add to a script: the management UI before 4.3 starts when it has counted one for
// each extension.

dispatcher_add(function(sammy) {
    sammy.get('#/hot-backup', function() {
        open_list();
    });
    sammy.get('#/hot-backup/backups/:id', function() {
        open_backup(this.params.id);
    });
    sammy.get('#/hot-backup/backups/:id/restore/:vhost/:queue', function() {
        open_restore(this.params.id, this.params.vhost, this.params.queue);
    });
});

NAVIGATION['Admin'][0]['Backups'] = ['#/hot-backup', 'administrator'];

// The UI since 4.3.4 takes templates from COMPILED_TEMPLATES. Before, it compiles them in the
// browser, unless it finds them compiled in its cache.
function offer_template(name) {
    var full_name = 'hot-backup-' + name;
    function draw() {
        return templates[name](page.view);
    }
    window.COMPILED_TEMPLATES = window.COMPILED_TEMPLATES || {};
    window.COMPILED_TEMPLATES[full_name] = draw;
    if (typeof ejs_cached !== 'undefined') {
        ejs_cached[full_name] = true;
        EJS.update('js/tmpl/' + full_name + '.ejs', {render: draw});
    }
}

function load_stylesheet() {
    var link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = 'css/hot-backup.css';
    document.head.appendChild(link);
}

['list', 'backup', 'restore'].forEach(offer_template);
load_stylesheet();
listen();
setInterval(tick, 1000);
